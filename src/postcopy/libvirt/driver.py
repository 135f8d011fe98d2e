"""Moves a domain between two libvirt hosts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import libvirt

from postcopy.clock import Clock, SystemClock
from postcopy.errors import NotFoundError, OutcomeUnknownError, PostcopyError, RefusedError
from postcopy.libvirt import guards
from postcopy.libvirt.connection import Connection, DomainEvent
from postcopy.libvirt.departure import Departure
from postcopy.libvirt.ends import Ends
from postcopy.libvirt.following import Following
from postcopy.libvirt.foreseen import foreseen
from postcopy.libvirt.guards import DomainFacts
from postcopy.libvirt.look import judge
from postcopy.libvirt.options import LibvirtOptions
from postcopy.libvirt.records import put_right
from postcopy.libvirt.rescue import LibvirtRescue
from postcopy.libvirt.ways import Ways
from postcopy.migration.outcome import Figures
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample
from postcopy.qemu.looking import Looking

__all__ = ["LibvirtDriver"]

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
        self._clock = clock or SystemClock()
        self._uris = (source_uri, destination_uri, peer_uri or destination_uri)
        self._ends = Ends(source_uri, destination_uri)
        self._departure = Departure(guest, self._uris, options, self._ends, self.notes)
        self._following = Following(guest, self._ends, self._departure, self._clock)
        self._facts: DomainFacts | None = None

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

    async def recovery_foreseen(self) -> str:
        """Return how a cut in post-copy would be recovered, or what that lacks; after `check`."""
        return await foreseen(self._ends, await self._domain(), self._ways)

    async def start(self) -> None:
        """Check, then begin; returns when the migration is under way."""
        await asyncio.gather(self.check(), self._departure.connect())
        postcopy = self.options.postcopy
        if postcopy and self._ways.wire is not None:
            await self._ways.wire.prepare()
        await self._following.listen(self._known.uuid)
        await self._departure.begin(
            persistent=self._known.persistent,
            monitor=postcopy and self._ways.destination is not None,
        )
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
        self._departure.found()
        await self._following.listen(self._known.uuid)
        await self._prepare_rescue()

    async def samples(self) -> AsyncIterator[Sample]:
        """Yield a sample on each event of the source, and between them by polling."""
        self._following.begin_anew()
        event: DomainEvent | None = None
        silent_since: float | None = None
        looking = self._looking()
        while True:
            sample = await self._following.sample(event)
            self._following.phase = sample.phase
            if sample.phase is Phase.COMPLETED and not await self._departure.succeeded():
                await self._put_records_right()
            yield sample if looking is None else replace(sample, looks=looking.take())
            if sample.phase.terminal or sample.phase is Phase.PAUSED:
                return
            if sample.phase is not Phase.UNKNOWN:
                silent_since = None
            elif silent_since is None:
                silent_since = sample.at
            elif sample.at - silent_since > _PATIENCE_SECONDS:
                return
            if looking is not None:
                # What is seen is for the next sample: no decision waits for a look.
                await looking.go_on(sample)
            event = await self._following.next()

    def _looking(self) -> Looking | None:
        """Return who looks at the guest meanwhile: libvirt does not, while it migrates one.

        Its QEMU does over a second monitor, where the source has one within reach.
        """
        monitor = self.rescue.source_monitor if self.rescue is not None else None
        if monitor is None or not self.options.postcopy:
            return None
        return Looking(monitor, self._clock)

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
        # Before the call: the migration may be seen to end while that is still on its way.
        self._following.cancelled = True
        try:
            await self._ends.source.call(domain.abortJob)
        except PostcopyError as error:
            # Whatever ends it now, this was not it, if that is certain.
            self._following.cancelled = isinstance(error, OutcomeUnknownError)
            raise

    async def pause(self) -> None:
        """Suspend the domain at the source; libvirt resumes it at whichever end it goes on."""
        if self._following.phase in (Phase.SETUP, Phase.PRECOPY):
            await self._ends.source.call((await self._domain()).suspend)

    async def set_bandwidth(self, bytes_per_second: int) -> None:
        """Bound what is sent before post-copy."""
        mib = max(1, -(-bytes_per_second >> 20))
        await self._ends.source.call((await self._domain()).migrateSetMaxSpeed, mib, 0)

    async def set_downtime_limit(self, seconds: float) -> None:
        """Set how long the guest may stand still at a pre-copy switchover."""
        await self._departure.set_downtime_limit(seconds)

    async def figures(self) -> Figures:
        """Return what libvirt counted."""
        return await self._following.figures()

    async def close(self) -> None:
        """Let go of both daemons. A direct migration would end with this process, not before."""
        if self.rescue is not None:
            await self.rescue.close()
        await self._following.close()
        await self._departure.close()
        await self._ends.close()

    @property
    def _known(self) -> DomainFacts:
        assert self._facts is not None  # set by start and attach, before anything else is called
        return self._facts

    def _name_at(self, connection: Connection) -> str:
        there = connection is self._ends.both[1]
        return self._departure.name_there if there else self.guest

    async def _domain(self) -> libvirt.virDomain:
        return await self._ends.source.domain(self.guest)

    async def _prepare_rescue(self) -> None:
        """Open what recovery will need: after a cut, a QEMU that hangs lets nobody in."""
        if self.options.postcopy and self.rescue is None:
            self.rescue = LibvirtRescue(
                self._ends,
                self._known.uuid,
                self._ways,
                self.options,
                self._resume,
                self._put_records_right,
            )
            self._following.rescue = self.rescue
            await self.rescue.prepare()
            if self.rescue.obstacles:
                self.notes.append(self.rescue.obstacles)

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
        await self._departure.resume(persistent=self._known.persistent)
