"""Two halves of a guest and a link between them that breaks as it is told."""

from postcopy.clock import Clock
from postcopy.errors import PostcopyError, RetryableError
from postcopy.migration.recovery import Connection, Half, Look
from postcopy.testing.clock import FakeClock

__all__ = ["FakeRescue"]


class FakeRescue:
    """A `Rescue`, and its own `Wire`, that follow the rules of real ones.

    :param outage_seconds: for how long the link carries nothing after each `cut`.
    :param refusals: how many times `connect` is refused although both sides are paused.
    :param broken_connects: how many connections break again while they are being made.
    :param hung: whether a cut leaves the destination's monitor hung.
    :param blind: whether nobody can look at the link.
    :param behind_seconds: for how long the destination calls itself paused after it was connected.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        outage_seconds: float = 0.0,
        refusals: int = 0,
        broken_connects: int = 0,
        hung: bool = False,
        blind: bool = False,
        behind_seconds: float = 0.0,
    ) -> None:
        self.clock = clock or FakeClock()
        self.source = Half.ACTIVE
        self.destination = Half.ACTIVE
        self.calls: list[str] = []
        """What was asked, in order, looks and haste left out."""
        self.hastened = 0
        """How often it was asked to be quick."""
        self.connections: int | PostcopyError = 2
        """What `hasten` finds, or what keeps it from that."""
        self.obstacles = ""
        self.how = ""
        self._outage = outage_seconds
        self._refusals = refusals
        self._broken_connects = broken_connects
        self._hangs = hung
        self._hung = False
        self._blind = blind
        self._up_at = 0.0
        self._behind = behind_seconds
        self._behind_until = 0.0

    @property
    def wire(self) -> "FakeRescue | None":
        return None if self._blind else self

    @property
    def carries(self) -> bool:
        """Whether the link does."""
        return self.clock.now() >= self._up_at

    def cut(self, *, noticed: bool) -> None:
        """Break the link, and the connection over it.

        :param noticed: whether the source hears of it.
        """
        self._up_at = self.clock.now() + self._outage
        self.source = Half.PAUSED if noticed else Half.ACTIVE
        self.destination = Half.ACTIVE
        self._hung = self._hangs

    async def look(self) -> Look:
        await self.clock.sleep(0.001)
        source, destination = self.source, self.destination
        if self.source is Half.CONNECTING:
            self.source = Half.PAUSED if self._broken_connects else Half.ACTIVE
            self.destination = self.source
            self._broken_connects = max(0, self._broken_connects - 1)
            self._hung = self._hung and self.source is not Half.ACTIVE
            self._behind_until = self.clock.now() + self._behind
        if self.clock.now() < self._behind_until and source is Half.ACTIVE:
            destination = Half.PAUSED
        return Look(source, Half.HUNG if self._hung else destination)

    async def hasten(self) -> int:
        self.hastened += 1
        if isinstance(self.connections, PostcopyError):
            raise self.connections
        return self.connections

    async def break_off(self, *, source: bool, destination: bool) -> None:
        names = [
            name for name, meant in (("source", source), ("destination", destination)) if meant
        ]
        self.calls.append(f"break off {' and '.join(names)}")
        if source and self.source in (Half.ACTIVE, Half.CONNECTING):
            self.source = Half.PAUSED
        if destination and self.destination in (Half.ACTIVE, Half.CONNECTING):
            self.destination = Half.PAUSED

    async def connect(self) -> None:
        self.calls.append("connect")
        if (self.source, self.destination) != (Half.PAUSED, Half.PAUSED):
            raise RetryableError(f"not paused: {self.source}, {self.destination}")
        if self._refusals:
            self._refusals -= 1
            raise RetryableError("too early")
        if self.carries:
            self.source = self.destination = Half.CONNECTING

    async def arrived(self) -> None:
        self.calls.append("arrived")

    async def prepare(self) -> None:
        self.calls.append("prepare")

    async def connection(self) -> Connection:
        silent = 0.0 if self.carries else self.clock.now() - self._up_at + self._outage
        return Connection(
            count=2,
            unacknowledged_bytes=200_000,
            silent_seconds=silent,
            retransmissions=sum(silent >= tried for tried in (0.2, 0.6, 1.4)),
        )

    async def wait(self, seconds: float) -> bool:
        if not self.carries and seconds:
            await self.clock.sleep(min(seconds, self._up_at - self.clock.now()))
        return self.carries
