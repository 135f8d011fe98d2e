"""Brings the halves of an interrupted domain together again.

Which way is taken follows from what both hosts run and have (`postcopy.libvirt.route`): libvirt's
own resume where it works; else both QEMUs are connected past it, and libvirt, which sees them go
on, brings its own records to an end.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import libvirt

from postcopy import known_issues
from postcopy.errors import PostcopyError, RefusedError, UnavailableError
from postcopy.libvirt import call
from postcopy.libvirt.connection import Connection, Version
from postcopy.libvirt.ends import Ends
from postcopy.libvirt.halves import half_of, name_there
from postcopy.libvirt.look import Half as Seen
from postcopy.libvirt.monitor import monitor_of
from postcopy.libvirt.options import LibvirtOptions
from postcopy.libvirt.passing import pass_on
from postcopy.libvirt.past import PastLibvirt
from postcopy.libvirt.route import Reach, Route, Situation, choose
from postcopy.libvirt.ways import Way, Ways
from postcopy.migration.phase import Phase
from postcopy.migration.recovery import Half, Look
from postcopy.migration.sample import Sample
from postcopy.qemu.monitor import CommandError, Monitor
from postcopy.qemu.rescue import QemuHalf
from postcopy.qemu.rescue import half_of as qemu_half
from postcopy.qemu.status import sample_of

__all__ = ["LibvirtRescue", "Way", "Ways", "half_of"]

# What QEMU says to a side that is not in a post-copy that goes on (migration_pause).
_NOT_GOING_ON = "migrate-pause is currently only supported"
_SETTLE_SECONDS = 2.0
_ANSWER_SECONDS = 3.0


class LibvirtRescue:
    """A `postcopy.migration.recovery.Rescue` of one domain.

    :param resume: has libvirt resume the migration, and returns when that has begun.
    :param arrived: puts records right that libvirt leaves as they are.
    """

    def __init__(
        self,
        ends: Ends,
        uuid: str,
        ways: Ways,
        options: LibvirtOptions,
        resume: Callable[[], Awaitable[None]],
        arrived: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.wire = ways.wire
        self._ends = ends
        self._uuid = uuid
        self._ways = ways
        self._past = PastLibvirt(ends, uuid, options, ways.address)
        self._resume = resume
        self._arrived = arrived
        self._monitors: list[QemuHalf | None] = [None, None]
        self._have_none: set[int] = set()
        self._passed = self._unconnected = False
        self._versions: list[Version | None] = [None, None]
        self._able_to_cut = False
        self._hung = False

    @property
    def obstacles(self) -> str:
        """Why recovery would need a hand; known after `prepare`."""
        return self.route.obstacle

    @property
    def how(self) -> str:
        """Which way both sides would be connected again now."""
        return str(self.route)

    @property
    def route(self) -> Route:
        """Which way it would be done, as things are now."""
        return choose(
            Situation(
                source=self._versions[0],
                destination=self._versions[1],
                source_monitor=self._monitors[0] is not None,
                destination_monitor=self._monitors[1] is not None,
                destination_way=self._ways.destination is not None,
                able_to_cut=self._able_to_cut,
                hung=self._hung,
            )
        )

    @property
    def source_monitor(self) -> Monitor | None:
        """The second monitor of the source's QEMU, where one is open."""
        half = self._monitors[0]
        return half.monitor if half is not None else None

    async def prepare(self) -> None:
        """Open second monitors, and find out which way it would be done."""
        await self._open_monitors()
        await self._ask_versions()
        if self._monitors[1] is None and self._ways.destination is not None:
            self._able_to_cut = await self._ways.destination.able_to_cut()

    async def hasten(self) -> int:
        """Have the destination's QEMUs ask for pages at once, where there is a way to them."""
        way = self._ways.destination
        return await way.hasten() if way is not None else 0

    async def look(self) -> Look:
        """Ask both QEMUs where their second monitors are, and both libvirts."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._ends.reconnect()
        await self._open_monitors()
        await self._ask_versions()
        seen = await self._ends.halves(self._uuid)
        (source, first), (destination, second) = await asyncio.gather(
            self._half(0, seen[0]), self._half(1, seen[1])
        )
        if await self._sleeps(destination):
            # Nobody can pause or connect it; what it waits for may still come over TCP.
            self._hung = True
            destination, second = Half.SILENT, f"{second}, and {self.route.obstacle}"
        else:
            self._hung = destination is Half.HUNG
        behind = self._passed and self._monitors[1] is None and first.startswith("QEMU says")
        if behind and (source, destination) == (Half.ACTIVE, Half.PAUSED):
            # The source's QEMU goes on only once the other one has answered it; a daemon that was
            # restarted for that says so much later.
            destination, second = Half.ACTIVE, f"{second}, which is behind"
        return Look(source, destination, f"{first} and {second}")

    async def _half(self, index: int, seen: Seen) -> tuple[Half, str]:
        told = half_of(seen, source=index == 0)
        qemu = self._monitors[index]
        if index == 0 and qemu is None and self._passed and told in (Half.PAUSED, Half.ACTIVE):
            # Once connected past it, libvirt's word may be seconds behind: QEMU is asked itself.
            with contextlib.suppress(PostcopyError):
                uri = self._ends.source.uri
                answer = await pass_on(uri, self._uuid, "query-migrate", {})
                status = str(answer.get("status", "none"))
                return qemu_half(status), f"QEMU says {status}"
        if index == 1 and qemu is None and self._unconnected and told is Half.ACTIVE:
            # Started again meanwhile, its daemon has missed what QEMU said of the cut.
            return Half.PAUSED, f"libvirt says {seen}, and nothing is connected"
        if qemu is None or told is Half.GONE:
            return told, f"libvirt says {seen}"
        half, word = await qemu.look()
        if half in (Half.SILENT, Half.GONE):
            return told, f"libvirt says {seen}"
        return half, f"QEMU says {word}"

    async def _sleeps(self, destination: Half) -> bool:
        """Return whether a destination that has no second monitor is seen to hang."""
        way = self._ways.destination
        if self._monitors[1] is not None or way is None:
            return False
        if destination not in (Half.ACTIVE, Half.PAUSED):
            return False
        return await way.awake(await name_there(self._ends.destination, self._uuid)) is False

    async def break_off(self, *, source: bool, destination: bool) -> None:
        """Pause sides over second monitors; else by libvirt, and by breaking connections."""
        if destination:
            await self._break_off_destination()
        if source:
            await self._break_off_source()

    async def _break_off_destination(self) -> None:
        qemu, way = self._monitors[1], self._ways.destination
        if qemu is not None:
            await qemu.break_off()
        elif way is not None and self._able_to_cut:
            name = await name_there(self._ends.destination, self._uuid)
            self._unconnected = not await way.cut(name)
        elif way is not None:
            async with self._past.borrowing(way) as command:
                with contextlib.suppress(CommandError):
                    await command("migrate-pause")
        else:
            raise RefusedError(
                "the destination does not notice that its connection is dead, and nothing here"
                " reaches its QEMU",
                hint="on that host: ss -K -tn dst SOURCE-ADDRESS",
            )

    async def _break_off_source(self) -> None:
        qemu = self._monitors[0]
        if qemu is not None:
            await qemu.break_off()
            return
        connection, version = self._ends.source, self._versions[0]
        if version is not None and known_issues.issue("no-resume").affects(version):
            # It has no call that pauses one, and passes on what QEMU has.
            with contextlib.suppress(CommandError):
                await pass_on(connection.uri, self._uuid, "migrate-pause", {})
            return
        domain = await connection.find(self._uuid)
        flag = getattr(libvirt, "VIR_DOMAIN_ABORT_JOB_POSTCOPY", None)
        if domain is None or flag is None:
            raise UnavailableError("the source's libvirt cannot pause a post-copy")
        try:
            await connection.call(domain.abortJobFlags, flag)
        except PostcopyError as error:
            if _NOT_GOING_ON not in error.message:
                raise  # else there is nothing to break off, and libvirt is about to notice

    async def connect(self) -> None:
        """Connect both sides again, by libvirt or past it.

        :raises PostcopyError: when that is refused.
        """
        route, self._unconnected = self.route, False
        if route.resume:
            await self._resume()
            return
        if await self._settled() and self._outlived():
            await call.end(self._ends, self._uuid, self._ways.source)
        source, destination = self._monitors
        if route.destination is Reach.SECOND and destination is not None:
            uri = await self._past.listen(destination.command)
        elif route.destination is Reach.BORROWED and (way := self._ways.destination) is not None:
            async with self._past.borrowing(way) as command:
                uri = await self._past.listen(command)
        else:
            raise RefusedError(route.obstacle or "there is no way past libvirt to this domain")
        await self._past.send_to(uri, source)
        self._passed = True

    def _outlived(self) -> bool:
        """Return whether the source's libvirt is one whose call may outlive the cut, with harm."""
        version = self._versions[0]
        return version is not None and not known_issues.issue("no-resume").affects(version)

    async def _settled(self) -> bool:
        """Wait until libvirt, too, knows that it is interrupted; return whether it does."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_SECONDS):
                while True:
                    seen, _ = await self._ends.halves(self._uuid)
                    if half_of(seen, source=True) is Half.PAUSED:
                        return True
                    await asyncio.sleep(0.05)
        return False

    async def arrived(self) -> None:
        """Have libvirt's records put right."""
        if self._arrived is not None:
            await self._arrived()

    async def sample(self, at: float) -> Sample | None:
        """Return what the source's QEMU says, where it goes on and libvirt has not seen it yet."""
        qemu = self._monitors[0]
        try:
            if qemu is not None:
                answer = await qemu.monitor.execute("query-migrate", seconds=_ANSWER_SECONDS)
            else:
                answer = await pass_on(self._ends.source.uri, self._uuid, "query-migrate", {})
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

    async def _ask_versions(self) -> None:
        for index, connection in enumerate(self._ends.both):
            if connection is not None and self._versions[index] is None:
                with contextlib.suppress(PostcopyError):
                    self._versions[index], _ = await connection.versions()

    async def _open_monitors(self) -> None:
        for index, way in enumerate((self._ways.source, self._ways.destination)):
            connection = self._ends.both[index]
            if way is None or connection is None or self._monitors[index] is not None:
                continue
            # Without one, there are other ways, and `obstacles` says so. No QEMU is given one
            # later, and a libvirt that was restarted tells definitions only when all is over.
            if index in self._have_none:
                continue
            with contextlib.suppress(PostcopyError):
                self._monitors[index] = await self._open_monitor(index, way, connection)

    async def _open_monitor(self, index: int, way: Way, connection: Connection) -> QemuHalf | None:
        domain = await connection.find(self._uuid)
        if domain is None or not await connection.call(domain.isActive):
            return None
        path = monitor_of(await connection.call(domain.XMLDesc, 0))
        if path is None:
            self._have_none.add(index)
            return None
        monitor = Monitor(await way.socket(path), connection.uri)
        await monitor.connect(_ANSWER_SECONDS)
        return QemuHalf(monitor)
