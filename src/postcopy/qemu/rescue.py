"""Brings the two QEMUs of an interrupted post-copy together again.

Each side has one session for questions and one that may run commands out of band, past those that
hang; where there is no second monitor, one session does for both. The commands and the states in
which they are taken are those of qapi/migration.json (``migrate-pause``, ``migrate-recover``,
``migrate`` with ``resume``).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from postcopy.errors import PostcopyError, RetryableError, UnavailableError
from postcopy.migration.phase import Phase
from postcopy.migration.recovery import Half, Look, Wire
from postcopy.qemu.monitor import CommandError, Monitor, NotListeningError
from postcopy.qemu.status import phase_of

__all__ = ["SPARE_PORTS", "Hasten", "QemuHalf", "QemuRescue", "half_of"]

Hasten = Callable[[], Awaitable[int]]
"""Has the destination ask for missing pages at once, as `Rescue.hasten`."""

SPARE_PORTS = 15
"""How many ports after the migration's own a destination may listen at while that one is taken."""

# A monitor that does not answer for this long has a main loop that waits for a missing page.
_HUNG_SECONDS = 2.0
_STILL_HUNG_SECONDS = 0.1
"""The same for one that is known to hang."""
_COMMAND_SECONDS = 5.0
# A port that QEMU listened at is closed when its main loop comes round, which may be after a
# command out of band has asked for it again; while that loop hangs, it is not closed at all.
_CLOSING_TRIES, _CLOSING_SECONDS = 10, 0.02

_HALVES = {
    Phase.POSTCOPY: Half.ACTIVE,
    Phase.PAUSED: Half.PAUSED,
    Phase.RECOVERING: Half.CONNECTING,
    Phase.COMPLETED: Half.DONE,
    Phase.FAILED: Half.GONE,
}


def half_of(status: str) -> Half:
    """Return what ``query-migrate``'s status says of one side of a post-copy."""
    return _HALVES.get(phase_of(status, Phase.UNKNOWN), Half.UNKNOWN)


class QemuHalf:
    """One side's sessions while its guest is recovered.

    :param monitor: the session that is asked.
    :param rescue: the one that commands go through, out of band; the first one if None.
    """

    def __init__(self, monitor: Monitor, rescue: Monitor | None = None) -> None:
        self.monitor = monitor
        self.rescue = rescue or monitor
        self._asking: asyncio.Task[Any] | None = None
        self._last = "never asked"

    async def look(self) -> tuple[Half, str]:
        """Return what this side says, and its own word for it."""
        try:
            await self._reopen()
            answer = await self._ask()
        except NotListeningError:
            return Half.GONE, f"nothing, it has ended (before: {self._last})"
        except TimeoutError:
            # Only a session from before it hung can still be used.
            return (Half.HUNG if self.rescue.connected else Half.SILENT), "no answer"
        except PostcopyError as error:
            return Half.SILENT, error.message
        self._last = answer.get("status", "none")
        return half_of(self._last), self._last

    async def command(self, name: str, **arguments: object) -> None:
        """Run a command out of band.

        :raises PostcopyError: when QEMU refuses it, or does not answer.
        """
        await self.rescue.execute(name, arguments, oob=True, seconds=_COMMAND_SECONDS)

    async def command_in_band(self, name: str, **arguments: object) -> None:
        """Run a command that QEMU does not take out of band."""
        await self.monitor.execute(name, arguments, seconds=_COMMAND_SECONDS)

    async def break_off(self) -> None:
        """Have this side take its connection for dead.

        One that refuses is not in a post-copy that goes on: then there is nothing to break off.
        """
        with contextlib.suppress(CommandError):
            await self.command("migrate-pause")

    def close(self) -> None:
        """Wait for no answer any more."""
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    async def _reopen(self) -> None:
        for monitor in {self.monitor, self.rescue}:
            if not monitor.connected:
                await monitor.close()  # what is left of a session that ended by itself
                try:
                    await monitor.connect(_HUNG_SECONDS)
                except NotListeningError:
                    raise
                except UnavailableError:
                    if monitor is self.monitor:
                        raise

    async def _ask(self) -> dict[str, Any]:
        """Ask for the migration's state. A question that is not answered yet is not asked again:

        a monitor takes eight of them, and then nothing any more, out of band or not.
        """
        seconds = _STILL_HUNG_SECONDS
        if self._asking is None:
            ask = self.monitor.execute("query-migrate", seconds=3600.0)
            self._asking = asyncio.create_task(ask)
            seconds = _HUNG_SECONDS
        done, _ = await asyncio.wait([self._asking], timeout=seconds)
        if not done:
            raise TimeoutError
        task, self._asking = self._asking, None
        answer: dict[str, Any] = task.result()
        return answer


class QemuRescue:
    """A `postcopy.migration.recovery.Rescue` over the monitors of both sides.

    :param uri: where the destination is to listen and the source to connect, ``tcp:HOST:PORT``.
    :param wire: the way between both, where it can be looked at.
    :param hasten: how the destination is reached, past its QEMU, where it can be.
    """

    def __init__(
        self,
        source: QemuHalf,
        destination: QemuHalf,
        uri: str,
        wire: Wire | None = None,
        hasten: Hasten | None = None,
    ) -> None:
        self.source = source
        self.destination = destination
        self.wire = wire
        self.obstacles = ""
        self.how = ""
        self._uri = uri
        self._hasten = hasten

    async def hasten(self) -> int:
        """Have the destination ask for missing pages at once, where it can be reached."""
        return await self._hasten() if self._hasten is not None else 0

    async def look(self) -> Look:
        """Ask both QEMUs."""
        (source, first), (destination, second) = await asyncio.gather(
            self.source.look(), self.destination.look()
        )
        return Look(source, destination, f"QEMU says {first} and {second}")

    async def break_off(self, *, source: bool, destination: bool) -> None:
        """``migrate-pause``, out of band."""
        if destination:
            await self.destination.break_off()
        if source:
            await self.source.break_off()

    async def connect(self) -> None:
        """``migrate-recover`` at the destination, then ``migrate`` with ``resume`` at the source.

        :raises RetryableError: when a side is not paused yet.
        """
        try:
            uri = await self._listen()
            await self.source.command_in_band("migrate", uri=uri, resume=True)
        except CommandError as error:
            raise RetryableError(error.message, hint="a side may lag behind: try again") from error

    async def _listen(self) -> str:
        """Have the destination listen, at a port that is free, and return where."""
        uris = [self._uri] * _CLOSING_TRIES
        host, colon, port = self._uri.rpartition(":")
        if port.isdecimal():
            uris += [f"{host}{colon}{int(port) + spare}" for spare in range(1, SPARE_PORTS + 1)]
        for number, uri in enumerate(uris, 1):
            try:
                await self.destination.command("migrate-recover", uri=uri)
            except CommandError as error:
                if "in use" not in error.description or number == len(uris):
                    raise
            else:
                return uri
            await asyncio.sleep(_CLOSING_SECONDS)
        raise AssertionError("the last port was tried or refused")

    async def arrived(self) -> None:
        """Nothing: a QEMU keeps no records."""

    def close(self) -> None:
        """Wait for no answer any more."""
        self.source.close()
        self.destination.close()
