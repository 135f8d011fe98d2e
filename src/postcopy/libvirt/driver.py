"""Moves a domain between two libvirt hosts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import libvirt

from postcopy.clock import Clock, SystemClock
from postcopy.errors import NotFoundError, OutcomeUnknownError, PostcopyError, RefusedError
from postcopy.libvirt import guards
from postcopy.libvirt.carrier import Carrier
from postcopy.libvirt.connection import Connection, DomainEvent
from postcopy.libvirt.ends import Ends
from postcopy.libvirt.guards import DomainFacts
from postcopy.libvirt.look import Half, judge
from postcopy.libvirt.monitor import default_path, monitor_of, with_monitor
from postcopy.libvirt.options import LibvirtOptions
from postcopy.libvirt.records import put_right
from postcopy.libvirt.rescue import LibvirtRescue, Ways
from postcopy.libvirt.status import disks_in_words, figures_of, phase_of_event, sample_of
from postcopy.migration.outcome import Figures
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample

__all__ = ["LibvirtDriver"]

# Pass ends and phases come as events; polling only draws the curve between them.
_POLL_SECONDS = 0.2

# How long the figures of a job that is over may take to come.
_FIGURES_SECONDS = 0.2

# How long libvirt is given to refuse a resume before it is taken to have begun.
_RESUME_SECONDS = 0.3

# How long the call of a migration that is over may take to say so.
_LAST_SECONDS = 5.0

# How long a host that stopped answering may take to come back before we stop watching.
_PATIENCE_SECONDS = 60.0


class LibvirtDriver:
    """Moves one domain, peer-to-peer where the source reaches the destination by itself.

    Peer-to-peer survives the death of this process, and of either daemon once in post-copy; direct
    needs this process until the end.

    :param guest: the domain's name.
    :param source_uri: libvirt URI of the host that it leaves.
    :param destination_uri: of the host that it goes to, as seen from here.
    :param peer_uri: the same as seen from the source; the same one if None.
    :param ways: into both hosts, where there are some: for recovery after a cut.
    """

    def __init__(
        self,
        guest: str,
        source_uri: str,
        destination_uri: str,
        options: LibvirtOptions,
        *,
        peer_uri: str | None = None,
        ways: Ways | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.guest = guest
        self.options = options
        self.notes: list[str] = []
        """What a user should know of how it is done."""
        self.advice = ""
        self.rescue: LibvirtRescue | None = None
        """What brings both halves together again after a cut; None until it has begun."""
        self._ways = ways or Ways()
        self._direct = False
        self._uris = (source_uri, destination_uri, peer_uri or destination_uri)
        self._carrier = Carrier(guest, self._uris, options)
        self._clock = clock or SystemClock()
        self._ends = Ends(source_uri, destination_uri)
        self._facts: DomainFacts | None = None
        self._stack = contextlib.AsyncExitStack()
        self._events: asyncio.Queue[DomainEvent] = asyncio.Queue()
        self._call: asyncio.Task[Any] | None = None
        self._phase = Phase.SETUP
        self._cancelled = False
        self._limit: float | None = None
        self._arriving: str | None = None
        self._statistics: dict[str, Any] = {}
        self._final: dict[str, Any] | None = None

    def record(self) -> Mapping[str, Any]:
        """Return the URIs and options."""
        source, destination, peer = self._uris
        return {
            "kind": "libvirt",
            "guest": self.guest,
            "source": source,
            "destination": destination,
            "peer": peer,
            "options": self.options.record(),
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any], ways: Ways | None = None) -> "LibvirtDriver":
        """Read what `record` wrote."""
        return cls(
            record["guest"],
            record["source"],
            record["destination"],
            LibvirtOptions.of_record(record["options"]),
            peer_uri=record["peer"],
            ways=ways,
        )

    async def check(self) -> None:
        """Connect and run the guards, and move nothing.

        :raises PostcopyError: what stands in the way.
        """
        await self._ends.connect()
        source = self._ends.source
        facts = await guards.facts_of_domain(source, await self._domain())
        await guards.check(source, self._ends.destination, facts, self.options)
        self._facts = facts

    async def start(self) -> None:
        """Check, then begin; returns when the migration is under way."""
        await asyncio.gather(self.check(), self._carrier.connect())
        facts = self._known
        if self.options.postcopy and self._ways.wire is not None:
            await self._ways.wire.prepare()
        await self._listen()
        if self.options.postcopy and self._ways.destination is not None:
            self._arriving = await self._with_monitor()
        if self._peer_is_local:
            self._note_direct("the destination's URI is a local one, which the source cannot use")
            await self._begin(facts, peer_to_peer=False)
            await self._prepare_rescue()
            return
        try:
            await self._begin(facts, peer_to_peer=True)
        except PostcopyError as error:
            if "remote libvirt URI" not in error.message:
                raise
            self._note_direct(f"the source cannot reach {self._uris[2]}")
            await self._begin(facts, peer_to_peer=False)
        await self._prepare_rescue()

    async def attach(self) -> None:
        """Reach a migration that goes on by itself. One of the two hosts may be silent for now.

        :raises UnavailableError: when neither answers.
        :raises NotFoundError: when neither has the domain.
        """
        try:
            await self._ends.connect()
        except PostcopyError:
            if self._ends.both == (None, None):
                raise
        for connection in self._ends.both:
            if connection is not None and self._facts is None:
                with contextlib.suppress(NotFoundError):
                    domain = await connection.domain(self._name_at(connection))
                    self._facts = await guards.facts_of_domain(connection, domain)
        if self._facts is None:
            raise NotFoundError(
                f"domain {self.guest!r} is neither at {self._uris[0]} nor at {self._uris[1]}",
                hint="look at both hosts: virsh list --all",
            )
        self._direct = self._direct or self._peer_is_local  # the source would resume to itself
        await self._listen()
        await self._prepare_rescue()

    async def samples(self) -> AsyncIterator[Sample]:
        """Yield a sample on each event of the source, and between them by polling."""
        if self._call_failed:
            self._call = None  # what it said of a cut is no news any more
        while self._phase.spread and not self._events.empty():
            self._figure(self._events.get_nowait())  # nor is what was heard before a recovery
        event: DomainEvent | None = None
        silent_since: float | None = None
        while True:
            sample = await self._sample(event)
            self._phase = sample.phase
            if sample.phase is Phase.COMPLETED and not await self._call_succeeded():
                await self._put_records_right()
            yield sample
            if sample.phase.terminal or sample.phase is Phase.PAUSED:
                return
            if sample.phase is not Phase.UNKNOWN:
                silent_since = None
            elif silent_since is None:
                silent_since = sample.at
            elif sample.at - silent_since > _PATIENCE_SECONDS:
                return
            event = await self._next()

    async def switch(self) -> None:
        """Go over to post-copy."""
        if not self.options.postcopy:
            raise RefusedError(
                "post-copy was not armed when this migration was started",
                hint="cancel it and start it again with a policy that may switch",
            )
        await self._ends.source.call((await self._domain()).migrateStartPostCopy, 0)

    async def cancel(self) -> None:
        """Call it off, unless the guest's memory is already on both hosts."""
        domain = await self._domain()
        # Look before acting: the switch may have happened since the last sample.
        if judge(*await self._ends.halves(self._known.uuid)).spread:
            raise RefusedError(
                f"domain {self.guest!r} is in post-copy: its memory is on both hosts, and calling"
                " the migration off would destroy it",
                hint="let it finish",
            )
        self._cancelled = True
        await self._ends.source.call(domain.abortJob)

    async def pause(self) -> None:
        """Suspend the domain at the source; libvirt resumes it at whichever end it goes on."""
        if self._phase in (Phase.SETUP, Phase.PRECOPY):
            await self._ends.source.call((await self._domain()).suspend)

    async def set_bandwidth(self, bytes_per_second: int) -> None:
        """Bound what is sent before post-copy."""
        mib = max(1, -(-bytes_per_second >> 20))
        await self._ends.source.call((await self._domain()).migrateSetMaxSpeed, mib, 0)

    async def set_downtime_limit(self, seconds: float) -> None:
        """Set how long the guest may stand still at a pre-copy switchover."""
        milliseconds = max(1, round(seconds * 1000))
        await self._ends.source.call((await self._domain()).migrateSetMaxDowntime, milliseconds, 0)

    async def figures(self) -> Figures:
        """Return what libvirt counted."""
        # It says so on the heels of the migration's end, if the source's daemon lives.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIGURES_SECONDS):
                while self._final is None:
                    self._figure(await self._events.get())
        return figures_of(self._final or self._statistics)

    async def close(self) -> None:
        """Let go of both daemons. A direct migration would end with this process, not before."""
        if self.rescue is not None:
            await self.rescue.close()
        await self._stack.aclose()
        await self._carrier.close()
        await self._ends.close()

    async def _listen(self) -> None:
        """Hear of the domain from the source, if it answers."""
        source, _ = self._ends.both
        if source is not None:
            uuid = self._known.uuid
            self._events = await self._stack.enter_async_context(source.events(uuid))

    @property
    def _known(self) -> DomainFacts:
        assert self._facts is not None  # set by start and attach, before anything else is called
        return self._facts

    @property
    def _name_there(self) -> str:
        return self.options.dname or self.guest

    def _name_at(self, connection: Connection) -> str:
        return self._name_there if connection is self._ends.both[1] else self.guest

    async def _domain(self) -> libvirt.virDomain:
        return await self._ends.source.domain(self.guest)

    async def _prepare_rescue(self) -> None:
        """Open what recovery will need: after a cut, a QEMU that hangs lets nobody in."""
        if self.options.postcopy and self.rescue is None:
            self.rescue = LibvirtRescue(
                self._ends, self._known.uuid, self._ways, self.options, self._resume
            )
            await self.rescue.prepare()
            if self.rescue.obstacles:
                self.notes.append(self.rescue.obstacles)

    @property
    def _call_failed(self) -> bool:
        return self._call is not None and self._call.done() and bool(self._call.exception())

    async def _call_succeeded(self) -> bool:
        """Return whether libvirt has brought the migration, which is over, to its end by itself.

        After a quick recovery past libvirt, it may take a moment until its call fails.
        """
        if self._call is None:
            return False
        await asyncio.wait([self._call], timeout=_LAST_SECONDS)
        return self._call.done() and not self._call_failed

    async def _put_records_right(self) -> None:
        """Do what libvirt leaves undone at the end of a migration that was interrupted."""
        source, destination = self._ends.both
        if destination is not None:
            persistent = self._known.persistent
            persist, undefine = self.options.persistent, self.options.undefinesource
            self.notes += await put_right(
                source,
                destination,
                self._known.uuid,
                persistent=persistent if persist is None else persist,
                undefine=persistent if undefine is None else undefine,
            )

    async def _resume(self) -> None:
        """Have libvirt resume the interrupted post-copy; returns when that has begun.

        :raises PostcopyError: when it is refused, such as for being too early.
        """
        call = await self._carrier.resume(
            peer_to_peer=not self._direct, persistent=self._known.persistent
        )
        await asyncio.wait([call], timeout=_RESUME_SECONDS)
        if call.done() and (error := call.exception()) is not None:
            raise self._told(error)
        self._call = call

    @property
    def _peer_is_local(self) -> bool:
        """Whether the destination's URI means something else to the source than it does here."""
        parts = urlsplit(self._uris[2])
        return "unix" in parts.scheme or not parts.netloc

    def _note_direct(self, why: str) -> None:
        self._direct = True
        self.notes.append(
            f"direct, not peer-to-peer: {why}. The migration depends on this process until its end"
        )

    async def _begin(self, facts: DomainFacts, *, peer_to_peer: bool) -> None:
        try:
            await self._begin_once(facts, peer_to_peer)
        except PostcopyError as error:
            path = default_path(self._name_there)
            if self._arriving is None or path not in error.message:
                raise
            # Such as on a host that confines its QEMUs: the guest has not moved, and goes without.
            self._arriving = None
            self.notes.append(f"the destination's QEMU may not have a second monitor at {path}")
            await self._begin_once(facts, peer_to_peer)
        if self._arriving is not None:
            self.notes.append(
                "the destination's QEMU has a second monitor, for recovery; its next has none"
            )

    async def _with_monitor(self) -> str | None:
        """Return the definition by which a domain that has no second monitor arrives with one.

        It counts while the domain runs there: what is defined for its next start stays as it is.
        None where it has one, or cannot be given one.
        """
        flags = libvirt.VIR_DOMAIN_XML_MIGRATABLE | libvirt.VIR_DOMAIN_XML_SECURE
        domain = await self._domain()
        xml = self.options.xml or str(await self._ends.source.call(domain.XMLDesc, flags))
        with contextlib.suppress(RefusedError):
            if monitor_of(xml) is None:
                return with_monitor(xml, default_path(self._name_there))
        return None

    async def _begin_once(self, facts: DomainFacts, peer_to_peer: bool) -> None:
        domain = await self._domain()
        self._call = await self._carrier.begin(
            peer_to_peer=peer_to_peer, persistent=facts.persistent, xml=self._arriving
        )
        self._limit = self.options.downtime_limit
        await self._under_way(domain)

    async def _under_way(self, domain: libvirt.virDomain) -> None:
        """Return when disks or memory move, or raise why they do not."""
        assert self._call is not None
        while True:
            await asyncio.wait([self._call], timeout=0.02)
            if self._call.done():
                if error := self._call.exception():
                    raise self._told(error)
                return
            with contextlib.suppress(PostcopyError):
                statistics = await self._ends.source.call(domain.jobStats)
                if statistics.get("memory_total"):
                    await self._set_limit()
                    return
                if statistics.get("disk_total"):
                    return

    async def _set_limit(self) -> None:
        """Set the downtime limit, once, when memory moves: it has no parameter of its own."""
        if self._limit is not None:
            limit, self._limit = self._limit, None
            # Too late in a migration of a few milliseconds: then it is over within any limit.
            with contextlib.suppress(PostcopyError):
                await self.set_downtime_limit(limit)

    async def _next(self) -> DomainEvent | None:
        getter = asyncio.create_task(self._events.get())
        waiting: set[asyncio.Task[Any]] = {getter}
        if self._call is not None and not self._call.done():
            waiting.add(self._call)
        done, _ = await asyncio.wait(
            waiting, timeout=_POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        if getter in done:
            return getter.result()
        getter.cancel()
        return None

    async def _sample(self, event: DomainEvent | None) -> Sample:
        at = self._clock.now()
        if event is not None:
            self._figure(event)
        if self._call is not None and self._call.done():
            return await self._ended(at, self._call.exception())
        ended_at = event.at if event and event.kind == "iteration" and event.detail >= 2 else None
        announced = phase_of_event(event.event, event.detail) if event is not None else None
        try:
            statistics = await self._ends.source.call((await self._domain()).jobStats)
        except PostcopyError as error:
            return await self._looked(at, error.message, announced)
        if not statistics.get("memory_total"):
            disks = disks_in_words(statistics)
            return await self._looked(at, announced=announced, doing=disks)
        self._statistics = statistics
        await self._set_limit()
        phase = announced or (await self._moving_phase())
        if phase is Phase.PAUSED:
            # A daemon that lost the other says so, too: whether the migration did, QEMU knows.
            return await self._looked(at, announced=announced)
        return sample_of(
            statistics, at, phase, status=f"job {statistics.get('type')}", pass_ended_at=ended_at
        )

    async def _moving_phase(self) -> Phase:
        if self._phase in (Phase.PRECOPY, Phase.POSTCOPY):
            return self._phase  # what changes it is announced by an event
        halves = await self._ends.halves(self._known.uuid)
        phase = judge(*halves)
        return self._phase if phase is Phase.UNKNOWN and _all_answer(halves) else phase

    async def _ended(self, at: float, error: BaseException | None) -> Sample:
        """The call that migrates has returned: look whether what it says is so."""
        return await self._looked(at, self._told(error).message if error else "")

    async def _looked(
        self, at: float, error: str = "", announced: Phase | None = None, doing: str = ""
    ) -> Sample:
        """Say where the guest is by asking both hosts.

        :param announced: what an event has just said; it counts where the hosts are in between.
        :param doing: what the source does before memory moves.
        """
        if await self._ends.reconnect():
            await self._listen()
        halves = await self._ends.halves(self._known.uuid)
        phase = judge(*halves)
        if phase is Phase.SETUP:
            # Begun and no longer under way, and the guest runs at the source.
            phase = Phase.CANCELLED if self._cancelled else Phase.FAILED
        elif phase is Phase.PRECOPY and self._phase is Phase.SETUP:
            # Under way, and no memory was seen to move: a policy would decide about nothing.
            phase = Phase.SETUP
        elif phase is Phase.UNKNOWN and _all_answer(halves):
            # Handing over: neither host calls the guest its own for a moment.
            ended = self._call is not None and self._call.done()
            phase = phase if ended else announced or self._phase
        # After a recovery past libvirt, it may take its time to see what QEMU does.
        ahead = phase is Phase.PAUSED and self.rescue is not None
        if ahead and self.rescue and (sample := await self.rescue.sample(at)) is not None:
            return sample
        status = doing or f"source: {halves[0]}; destination: {halves[1]}"
        return sample_of(self._statistics, at, phase, status=status, error=error)

    def _figure(self, event: DomainEvent) -> None:
        if event.kind == "job-completed":
            self._final = event.figures

    def _told(self, error: BaseException) -> PostcopyError:
        if isinstance(error, PostcopyError):
            return error
        return OutcomeUnknownError(
            f"migrating {self.guest!r} ended in {error!r}", hint="look at both hosts"
        )


def _all_answer(halves: tuple[Half, Half]) -> bool:
    return all(half.reachable for half in halves)
