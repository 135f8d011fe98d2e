"""A host that a guard looks at, with guests in whatever state it is told."""

from collections.abc import Sequence

from postcopy.clock import Clock
from postcopy.errors import UnavailableError
from postcopy.watch.sighting import Sighting, State

__all__ = ["FakeWindow"]


class FakeWindow:
    """A `postcopy.watch.Window`.

    :ivar guests: by name, in which state each is; the UUID is that of the name.
    :ivar away: why the host does not answer; it does when that is empty.
    :ivar looks: how often it was looked at.
    :ivar tries: how often it was tried to be reached.
    :ivar opened: whether it is open.
    """

    def __init__(self, uri: str, clock: Clock, **guests: State) -> None:
        self.uri = uri
        self.host = uri.rpartition("/")[2]
        self.uuid = f"uuid-of-{uri}"
        self.guests = dict(guests)
        self.away = ""
        self.looks = 0
        self.tries = 0
        self.opened = False
        self._clock = clock

    async def open(self) -> None:
        self.tries += 1
        self._reach()
        assert not self.opened, "opened twice"
        self.opened = True

    async def look(self) -> Sequence[Sighting]:
        self.looks += 1
        self._reach()
        return [Sighting(f"uuid-{name}", name, state) for name, state in self.guests.items()]

    async def news(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._reach()

    async def names(self, uuid: str) -> Sequence[str]:
        self._reach()
        return (uuid.removeprefix("uuid-"), uuid)

    async def close(self) -> None:
        self.opened = False

    def _reach(self) -> None:
        if self.away:
            raise UnavailableError(f"{self.uri}: {self.away}")
