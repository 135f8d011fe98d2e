"""Brings the halves of an interrupted domain together again.

Which way is taken follows from what both hosts run. libvirt's own resume is taken where it works;
past its monitors, over second ones, where the resume would crash a daemon or the destination's QEMU
hangs: then libvirt sees its QEMUs go on and brings its own records to an end.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import libvirt

from postcopy import known_issues
from postcopy.errors import PostcopyError, RefusedError, RetryableError, UnavailableError
from postcopy.libvirt.connection import Connection, Version
from postcopy.libvirt.ends import Ends
from postcopy.libvirt.look import Half as Seen
from postcopy.libvirt.monitor import monitor_of
from postcopy.libvirt.options import LibvirtOptions
from postcopy.migration.phase import Phase
from postcopy.migration.recovery import Half, Look, Wire
from postcopy.migration.sample import Sample
from postcopy.qemu.monitor import CommandError, Monitor
from postcopy.qemu.rescue import QemuHalf
from postcopy.qemu.status import sample_of

__all__ = ["LibvirtRescue", "Way", "Ways", "half_of"]

# libvirt's default range for migrations; firewalls are opened for these. It takes the first that is
# free, and so the last are likely to be.
_PORTS = range(49215, 49151, -1)
_SETTLE_SECONDS = 2.0
_ANSWER_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Way:
    """A way into one host, past libvirt.

    :param socket: returns where on this machine a unix socket of the host can be reached.
    :param cut: has the host's kernel break the connections that carry a domain, given by name;
        returns how many there were.
    """

    socket: Callable[[str], Awaitable[Path]]
    cut: Callable[[str], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Ways:
    """Ways into both hosts, as far as there are some.

    :param wire: the way between them, looked at from the source.
    :param address: of the destination, as the memory goes there; asked of libvirt if None.
    """

    source: Way | None = None
    destination: Way | None = None
    wire: Wire | None = None
    address: str | None = None


def half_of(seen: Seen, *, source: bool) -> Half:
    """Return what one host's libvirt says of its side of a post-copy."""
    if not seen.reachable:
        return Half.SILENT
    if not seen.active:
        return Half.GONE
    names = _SOURCE if source else _DESTINATION
    for state, name, half in names:
        if seen.state == state and seen.reason == getattr(libvirt, name, None):
            return half
    if not source and seen.state == libvirt.VIR_DOMAIN_RUNNING:
        return Half.DONE
    return Half.UNKNOWN


_PAUSED, _RUNNING = libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_RUNNING
_SOURCE = (
    (_PAUSED, "VIR_DOMAIN_PAUSED_POSTCOPY", Half.ACTIVE),
    (_PAUSED, "VIR_DOMAIN_PAUSED_POSTCOPY_FAILED", Half.PAUSED),
)
_DESTINATION = (
    (_RUNNING, "VIR_DOMAIN_RUNNING_POSTCOPY", Half.ACTIVE),
    (_RUNNING, "VIR_DOMAIN_RUNNING_POSTCOPY_FAILED", Half.PAUSED),
    (_PAUSED, "VIR_DOMAIN_PAUSED_POSTCOPY", Half.ACTIVE),
    (_PAUSED, "VIR_DOMAIN_PAUSED_POSTCOPY_FAILED", Half.PAUSED),
)


class LibvirtRescue:
    """A `postcopy.migration.recovery.Rescue` of one domain.

    :param resume: has libvirt resume the migration, and returns when that has begun.
    """

    def __init__(
        self,
        ends: Ends,
        uuid: str,
        ways: Ways,
        options: LibvirtOptions,
        resume: Callable[[], Awaitable[None]],
    ) -> None:
        self.obstacles = ""
        """Why recovery would need a hand; known after `prepare`."""
        self.wire = ways.wire
        self._ends = ends
        self._uuid = uuid
        self._ways = ways
        self._options = options
        self._resume = resume
        self._monitors: list[QemuHalf | None] = [None, None]
        self._crash: Version | None = None
        self._hung = False

    async def prepare(self) -> None:
        """Open second monitors, and find out which way it would be done."""
        await self._open_monitors()
        for connection in self._ends.both:
            if connection is not None:
                with contextlib.suppress(PostcopyError):
                    version, _ = await connection.versions()
                    if connection is self._ends.both[1] and _RESUME_CRASH.affects(version):
                        self._crash = version
        self.obstacles = self._obstacles()

    def _obstacles(self) -> str:
        monitors = [half is not None for half in self._monitors]
        prepare = "postcopy guest prepare gives it one at its next start"
        if self._crash is not None and not all(monitors):
            version = ".".join(map(str, self._crash))
            return (
                "should the connection break in post-copy, recovery would need a hand: libvirt"
                f" {version} at the destination crashes when it resumes, and the domain has no"
                f" second monitor within reach; {prepare}"
            )
        if not monitors[1] and self._ways.destination is None:
            return (
                "should the connection break in post-copy, recovery would need a hand: nobody here"
                " could make the destination notice it, without a second monitor of the domain and"
                f" without a way into that host (--dest-host); {prepare}"
            )
        return ""

    async def look(self) -> Look:
        """Ask both QEMUs where their second monitors are, and both libvirts."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._ends.reconnect()
        await self._open_monitors()
        seen = await self._halves()
        (source, first), (destination, second) = await asyncio.gather(
            self._half(0, seen[0]), self._half(1, seen[1])
        )
        self._hung = destination is Half.HUNG
        return Look(source, destination, f"{first} and {second}")

    async def _halves(self) -> tuple[Seen, Seen]:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._ends.halves(self._uuid)
        except TimeoutError:
            return Seen(reachable=False), Seen(reachable=False)

    async def _half(self, index: int, seen: Seen) -> tuple[Half, str]:
        told = half_of(seen, source=index == 0)
        qemu = self._monitors[index]
        if qemu is None or told is Half.GONE:
            return told, f"libvirt says {seen}"
        half, word = await qemu.look()
        if half in (Half.SILENT, Half.GONE):
            return told, f"libvirt says {seen}"
        return half, f"QEMU says {word}"

    async def break_off(self, *, source: bool, destination: bool) -> None:
        """Pause sides over second monitors; else by libvirt, and by breaking connections."""
        if destination:
            qemu = self._monitors[1]
            if qemu is not None:
                await qemu.break_off()
            elif self._ways.destination is not None:
                domain = await self._ends.destination.find(self._uuid)
                if domain is not None:
                    await self._ways.destination.cut(domain.name())
            else:
                raise RefusedError(
                    "the destination does not notice that its connection is dead, and nothing here"
                    " reaches its QEMU",
                    hint="on that host: ss -K -tn dst SOURCE-ADDRESS",
                )
        if source:
            await self._break_off_source()

    async def _break_off_source(self) -> None:
        qemu = self._monitors[0]
        if qemu is not None:
            await qemu.break_off()
            return
        connection = self._ends.source
        domain = await connection.find(self._uuid)
        flag = getattr(libvirt, "VIR_DOMAIN_ABORT_JOB_POSTCOPY", None)
        if domain is None or flag is None:
            raise UnavailableError("the source's libvirt cannot pause a post-copy")
        await connection.call(domain.abortJobFlags, flag)

    async def connect(self) -> None:
        """Connect both sides again, by libvirt or past it.

        :raises PostcopyError: when that is refused.
        """
        source, destination = self._monitors
        if self._crash is None and not self._hung:
            await self._resume()
        elif source is not None and destination is not None:
            await self._settled()
            await self._connect_qemus(source, destination)
        else:
            raise RefusedError(self.obstacles or "there is no way past libvirt to this domain")

    async def _settled(self) -> None:
        """Wait until libvirt, too, knows that the migration is interrupted: its job ends then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_SECONDS):
                while True:
                    seen, _ = await self._halves()
                    if half_of(seen, source=True) is Half.PAUSED:
                        return
                    await asyncio.sleep(0.05)

    async def _connect_qemus(self, source: QemuHalf, destination: QemuHalf) -> None:
        host, port = await self._where()
        refused: CommandError | None = None
        for number in (port,) if port is not None else _PORTS:
            uri = f"tcp:{f'[{host}]' if ':' in host else host}:{number}"
            try:
                await destination.command("migrate-recover", uri=uri)
                await source.command_in_band("migrate", uri=uri, resume=True)
            except CommandError as error:
                refused = error
                if "in use" in error.message:
                    continue
                break
            return
        assert refused is not None
        raise RetryableError(refused.message, hint="a side may lag behind: try again") from refused

    async def _where(self) -> tuple[str, int | None]:
        """Return the destination's address, and the port if it was said."""
        for uri in (self._options.recover_uri, self._options.migrateuri):
            parts = urlsplit(uri or "")
            if parts.hostname:
                # A port that was said for the migration itself may still be taken.
                return parts.hostname, parts.port if uri == self._options.recover_uri else None
        return self._ways.address or await self._ends.destination.host_name(), None

    async def sample(self, at: float) -> Sample | None:
        """Return what the source's QEMU says, where it goes on and libvirt has not seen it yet."""
        qemu = self._monitors[0]
        if qemu is None:
            return None
        try:
            answer = await qemu.monitor.execute("query-migrate", seconds=_ANSWER_SECONDS)
        except PostcopyError:
            return None
        sample = sample_of(answer, at, before=Phase.POSTCOPY)
        if sample.phase in (Phase.POSTCOPY, Phase.RECOVERING):
            return sample
        if sample.phase is Phase.COMPLETED:
            # Until libvirt says so too, it is not over.
            return Sample(at=at, phase=Phase.POSTCOPY, status="completed, says QEMU")
        return None

    async def close(self) -> None:
        """Let go of the second monitors."""
        for half in self._monitors:
            if half is not None:
                half.close()
                await half.monitor.close()

    async def _open_monitors(self) -> None:
        for index, way in enumerate((self._ways.source, self._ways.destination)):
            connection = self._ends.both[index]
            if way is None or connection is None or self._monitors[index] is not None:
                continue
            # Without one, there are other ways, and `obstacles` says so.
            with contextlib.suppress(PostcopyError):
                self._monitors[index] = await self._open_monitor(way, connection)

    async def _open_monitor(self, way: Way, connection: Connection) -> QemuHalf | None:
        domain = await connection.find(self._uuid)
        if domain is None or not await connection.call(domain.isActive):
            return None
        path = monitor_of(await connection.call(domain.XMLDesc, 0))
        if path is None:
            return None
        monitor = Monitor(await way.socket(path), connection.uri)
        await monitor.connect(_ANSWER_SECONDS)
        return QemuHalf(monitor)


_RESUME_CRASH = known_issues.issue("resume-crash")
