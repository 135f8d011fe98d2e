"""Moves a domain between two libvirt hosts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import libvirt

from postcopy.clock import Clock, SystemClock
from postcopy.errors import OutcomeUnknownError, PostcopyError, RefusedError
from postcopy.libvirt import guards
from postcopy.libvirt.connection import Connection, DomainEvent, translate
from postcopy.libvirt.guards import DomainFacts
from postcopy.libvirt.look import Half, judge, look_at
from postcopy.libvirt.loop import in_thread
from postcopy.libvirt.options import LibvirtOptions
from postcopy.libvirt.status import figures_of, phase_of_event, sample_of
from postcopy.migration.outcome import Figures
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample

__all__ = ["LibvirtDriver"]

# Pass ends and phases come as events; polling only draws the curve between them.
_POLL_SECONDS = 0.2

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
    """

    def __init__(
        self,
        guest: str,
        source_uri: str,
        destination_uri: str,
        options: LibvirtOptions,
        *,
        peer_uri: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.guest = guest
        self.options = options
        self.notes: list[str] = []
        """What a user should know of how it is done."""
        self._uris = (source_uri, destination_uri, peer_uri or destination_uri)
        self._clock = clock or SystemClock()
        self._source: Connection | None = None
        self._destination: Connection | None = None
        self._facts: DomainFacts | None = None
        self._stack = contextlib.AsyncExitStack()
        self._events: asyncio.Queue[DomainEvent] = asyncio.Queue()
        self._call: asyncio.Task[Any] | None = None
        self._phase = Phase.SETUP
        self._cancelled = False
        self._statistics: dict[str, Any] = {}

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
    def of_record(cls, record: Mapping[str, Any]) -> "LibvirtDriver":
        """Read what `record` wrote."""
        return cls(
            record["guest"],
            record["source"],
            record["destination"],
            LibvirtOptions.of_record(record["options"]),
            peer_uri=record["peer"],
        )

    async def check(self) -> DomainFacts:
        """Connect and run the guards, and move nothing.

        :raises PostcopyError: what stands in the way.
        """
        source, destination = await self._connect()
        domain = await source.domain(self.guest)
        facts = await guards.facts_of_domain(source, domain)
        await guards.check(source, destination, facts, self.options)
        self._facts = facts
        return facts

    async def start(self) -> None:
        """Check, then begin; returns when the migration is under way."""
        facts = await self.check()
        await self._listen(facts.uuid)
        scheme = urlsplit(self._uris[2])
        if "unix" in scheme.scheme or not scheme.netloc:
            self._note_direct("the destination's URI is a local one, which the source cannot use")
            await self._begin(facts, peer_to_peer=False)
            return
        try:
            await self._begin(facts, peer_to_peer=True)
        except PostcopyError as error:
            if "remote libvirt URI" not in error.message:
                raise
            self._note_direct(f"the source cannot reach {self._uris[2]}")
            await self._begin(facts, peer_to_peer=False)

    async def attach(self) -> None:
        """Reach a migration that goes on by itself."""
        await self._connect()
        domain = await self._either_domain()
        self._facts = await guards.facts_of_domain(*domain)
        await self._listen(self._facts.uuid)

    async def samples(self) -> AsyncIterator[Sample]:
        """Yield a sample on each event of the source, and between them by polling."""
        event: DomainEvent | None = None
        silent_since: float | None = None
        while True:
            sample = await self._sample(event)
            self._phase = sample.phase
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
        source, domain = await self._source_domain()
        await source.call(domain.migrateStartPostCopy, 0)

    async def cancel(self) -> None:
        """Call it off, unless the guest's memory is already on both hosts."""
        source, domain = await self._source_domain()
        assert self._facts is not None
        # Look before acting: the switch may have happened since the last sample.
        half = await look_at(source, self._facts.uuid)
        if judge(half, Half(reachable=False)).spread:
            raise RefusedError(
                f"domain {self.guest!r} is in post-copy: its memory is on both hosts, and calling"
                " the migration off would destroy it",
                hint="let it finish",
            )
        self._cancelled = True
        await source.call(domain.abortJob)

    async def set_bandwidth(self, bytes_per_second: int) -> None:
        """Bound what is sent before post-copy."""
        source, domain = await self._source_domain()
        await source.call(domain.migrateSetMaxSpeed, max(1, -(-bytes_per_second >> 20)), 0)

    async def set_downtime_limit(self, seconds: float) -> None:
        """Set how long the guest may stand still at a pre-copy switchover."""
        source, domain = await self._source_domain()
        await source.call(domain.migrateSetMaxDowntime, max(1, round(seconds * 1000)), 0)

    async def figures(self) -> Figures:
        """Return what libvirt counted."""
        return figures_of(self._statistics)

    async def close(self) -> None:
        """Let go of both daemons. A direct migration would end with this process, not before."""
        await self._stack.aclose()
        for connection in (self._source, self._destination):
            if connection is not None:
                await connection.close()
        self._source = self._destination = None

    async def _connect(self) -> tuple[Connection, Connection]:
        if self._source is None or self._destination is None:
            self._source, self._destination = await asyncio.gather(
                Connection.open(self._uris[0]), Connection.open(self._uris[1])
            )
        assert self._source is not None
        assert self._destination is not None
        return self._source, self._destination

    async def _listen(self, uuid: str) -> None:
        assert self._source is not None
        self._events = await self._stack.enter_async_context(self._source.events(uuid))

    async def _source_domain(self) -> tuple[Connection, libvirt.virDomain]:
        source, _ = await self._connect()
        return source, await source.domain(self.guest)

    async def _either_domain(self) -> tuple[Connection, libvirt.virDomain]:
        source, destination = await self._connect()
        try:
            return source, await source.domain(self.guest)
        except PostcopyError:
            return destination, await destination.domain(self.options.dname or self.guest)

    def _note_direct(self, why: str) -> None:
        self.notes.append(
            f"direct, not peer-to-peer: {why}. The migration depends on this process until its end"
        )

    async def _begin(self, facts: DomainFacts, *, peer_to_peer: bool) -> None:
        source, destination = await self._connect()
        domain = await source.domain(self.guest)
        flags = self.options.flags(peer_to_peer=peer_to_peer, persistent=facts.persistent)
        parameters = self.options.parameters()
        if peer_to_peer:
            call = in_thread(domain.migrateToURI3, self._uris[2], parameters, flags)
        else:
            call = in_thread(domain.migrate3, destination.handle, parameters, flags)
        self._call = asyncio.create_task(call)
        # An error here is read later; asyncio must not complain when nobody comes to that.
        self._call.add_done_callback(lambda task: task.cancelled() or task.exception())
        await self._under_way(source, domain)
        await self.set_downtime_limit(self.options.downtime_limit)

    async def _under_way(self, source: Connection, domain: libvirt.virDomain) -> None:
        """Return when memory moves, or raise why it does not."""
        assert self._call is not None
        while True:
            await asyncio.wait([self._call], timeout=0.02)
            if self._call.done():
                if error := self._call.exception():
                    raise self._told(error)
                return
            with contextlib.suppress(PostcopyError):
                if (await source.call(domain.jobStats)).get("memory_total"):
                    return

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
        if event is not None and event.kind == "job-completed":
            self._statistics = {**self._statistics, **(event.figures or {})}
        if self._call is not None and self._call.done():
            return await self._ended(at, self._call.exception())
        ended_at = event.at if event and event.kind == "iteration" and event.detail >= 2 else None
        announced = phase_of_event(event.event, event.detail) if event is not None else None
        try:
            source, domain = await self._source_domain()
            statistics = await source.call(domain.jobStats)
        except PostcopyError as error:
            return await self._looked(at, error.message)
        if not statistics.get("memory_total"):
            return await self._looked(at)
        self._statistics = statistics
        phase = announced or (await self._moving_phase(source))
        return sample_of(
            statistics, at, phase, status=f"job {statistics.get('type')}", pass_ended_at=ended_at
        )

    async def _moving_phase(self, source: Connection) -> Phase:
        if self._phase in (Phase.PRECOPY, Phase.POSTCOPY):
            return self._phase  # what changes it is announced by an event
        assert self._facts is not None
        return judge(await look_at(source, self._facts.uuid), Half(reachable=False))

    async def _ended(self, at: float, error: BaseException | None) -> Sample:
        """The call that migrates has returned: look whether what it says is so."""
        while not self._events.empty():
            event = self._events.get_nowait()
            self._statistics = {**self._statistics, **(event.figures or {})}
        return await self._looked(at, self._told(error).message if error else "")

    async def _looked(self, at: float, error: str = "") -> Sample:
        """Say where the guest is by asking both hosts."""
        assert self._facts is not None
        uuid = self._facts.uuid
        source, destination = await self._reconnected()
        halves = await asyncio.gather(look_at(source, uuid), look_at(destination, uuid))
        phase = judge(*halves)
        if phase is Phase.SETUP:
            # Begun and no longer under way, and the guest runs at the source.
            phase = Phase.CANCELLED if self._cancelled else Phase.FAILED
        status = f"source: {halves[0]}; destination: {halves[1]}"
        return sample_of(self._statistics, at, phase, status=status, error=error)

    async def _reconnected(self) -> tuple[Connection, Connection]:
        source, destination = await self._connect()
        if not await source.alive():
            with contextlib.suppress(PostcopyError):
                source = self._source = await Connection.open(self._uris[0], 5.0)
                assert self._facts is not None
                await self._listen(self._facts.uuid)
        if not await destination.alive():
            with contextlib.suppress(PostcopyError):
                destination = self._destination = await Connection.open(self._uris[1], 5.0)
        return source, destination

    def _told(self, error: BaseException) -> PostcopyError:
        if isinstance(error, libvirt.libvirtError):
            return translate(error, self._uris[0])
        return OutcomeUnknownError(
            f"migrating {self.guest!r} ended in {error!r}", hint="look at both hosts"
        )
