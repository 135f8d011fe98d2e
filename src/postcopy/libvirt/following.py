"""Follows a migration: what the source tells of it, checked against what both hosts say."""

import asyncio
import contextlib
from typing import Any

from postcopy.clock import Clock
from postcopy.errors import PostcopyError
from postcopy.libvirt.asking import Asking
from postcopy.libvirt.connection import DomainEvent
from postcopy.libvirt.departure import Departure
from postcopy.libvirt.ends import Ends
from postcopy.libvirt.look import Half, judge
from postcopy.libvirt.rescue import LibvirtRescue
from postcopy.libvirt.status import disks_in_words, figures_of, phase_of_event, sample_of
from postcopy.migration.outcome import Figures
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample

__all__ = ["Following"]

# Pass ends and phases come as events; polling only draws the curve between them.
_POLL_SECONDS = 0.2

# How long the figures of a job that is over may take to come.
_FIGURES_SECONDS = 0.2

# How long a libvirt may take to say how its migration stands.
_JOB_SECONDS = 2.0


class Following:
    """What is seen of one migration.

    :ivar phase: the last that was seen.
    :ivar cancelled: whether it was called off from here.
    :ivar rescue: what may see further than libvirt after a cut; None until there is one.
    """

    def __init__(self, guest: str, ends: Ends, departure: Departure, clock: Clock) -> None:
        self.phase = Phase.SETUP
        self.cancelled = False
        self.rescue: LibvirtRescue | None = None
        self._guest = guest
        self._ends = ends
        self._departure = departure
        self._clock = clock
        self._uuid = ""
        self._stack = contextlib.AsyncExitStack()
        self._events: asyncio.Queue[DomainEvent] = asyncio.Queue()
        self._asking: Asking[dict[str, Any]] = Asking()
        self._statistics: dict[str, Any] = {}
        self._final: dict[str, Any] | None = None

    async def listen(self, uuid: str) -> None:
        """Hear of the domain from the source, if it answers."""
        self._uuid = uuid
        source, _ = self._ends.both
        if source is not None:
            self._events = await self._stack.enter_async_context(source.events(uuid))

    def begin_anew(self) -> None:
        """Forget what was said of a cut, by events and by the call: it is no news any more."""
        if self._departure.failed:
            self._departure.call = None
        while self.phase.spread and not self._events.empty():
            self._figure(self._events.get_nowait())

    async def next(self) -> DomainEvent | None:
        """Return the next event, or None when it is time to look without one."""
        getter = asyncio.create_task(self._events.get())
        waiting: set[asyncio.Task[Any]] = {getter}
        call = self._departure.call
        if call is not None and not call.done():
            waiting.add(call)
        done, _ = await asyncio.wait(
            waiting, timeout=_POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        if getter in done:
            return getter.result()
        getter.cancel()
        return None

    async def sample(self, event: DomainEvent | None) -> Sample:
        """Say how it is.

        :param event: what the source has just said, if anything.
        """
        at = self._clock.now()
        if event is not None:
            self._figure(event)
        call = self._departure.call
        if call is not None and call.done():
            # The call that migrates has returned: look whether what it says is so.
            error = call.exception()
            return await self._looked(at, self._departure.told(error).message if error else "")
        ended_at = event.at if event and event.kind == "iteration" and event.detail >= 2 else None
        announced = phase_of_event(event.event, event.detail) if event is not None else None
        try:
            statistics = await self._asking.answer(self._ask_job, _JOB_SECONDS)
        except PostcopyError as error:
            return await self._looked(at, error.message, announced)
        if statistics is None:
            return await self._without_libvirt(at)
        if not statistics.get("memory_total"):
            disks = disks_in_words(statistics)
            return await self._looked(at, announced=announced, doing=disks)
        self._statistics = statistics
        await self._departure.limit_downtime()
        phase = announced or (await self._moving_phase())
        if phase is Phase.PAUSED:
            # A daemon that lost the other says so, too: whether the migration did, QEMU knows.
            return await self._looked(at, announced=announced)
        return sample_of(
            statistics, at, phase, status=f"job {statistics.get('type')}", pass_ended_at=ended_at
        )

    async def figures(self) -> Figures:
        """Return what libvirt counted."""
        # It says so on the heels of the migration's end, if the source's daemon lives.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIGURES_SECONDS):
                while self._final is None:
                    self._figure(await self._events.get())
        return figures_of(self._final or self._statistics)

    async def close(self) -> None:
        """Hear no more."""
        self._asking.forget()
        await self._stack.aclose()

    async def _ask_job(self) -> dict[str, Any]:
        """Ask the source for its job."""
        domain = await self._ends.source.domain(self._guest)
        job: dict[str, Any] = await self._ends.source.call(domain.jobStats)
        return job

    async def _without_libvirt(self, at: float) -> Sample:
        """Say what QEMU says while its libvirt is silent."""
        sample = await self.rescue.sample(at) if self.rescue is not None else None
        if sample is not None:
            return sample
        silent = f"the source's libvirt has not answered within {_JOB_SECONDS:.0f} s"
        return Sample(at=at, phase=Phase.UNKNOWN, error=silent)

    async def _moving_phase(self) -> Phase:
        if self.phase in (Phase.PRECOPY, Phase.POSTCOPY):
            return self.phase  # what changes it is announced by an event
        halves = await self._ends.halves(self._uuid)
        phase = judge(*halves)
        return self.phase if phase is Phase.UNKNOWN and _all_answer(halves) else phase

    async def _looked(
        self, at: float, error: str = "", announced: Phase | None = None, doing: str = ""
    ) -> Sample:
        """Say where the guest is by asking both hosts.

        :param announced: what an event has just said; it counts where the hosts are in between.
        :param doing: what the source does before memory moves.
        """
        if await self._ends.reconnect():
            await self.listen(self._uuid)
        halves = await self._ends.halves(self._uuid)
        phase = judge(*halves)
        if phase is Phase.SETUP:
            # Begun and no longer under way, and the guest runs at the source.
            phase = Phase.CANCELLED if self.cancelled else Phase.FAILED
        elif phase is Phase.PRECOPY and self.phase is Phase.SETUP:
            # Under way, and no memory was seen to move: a policy would decide about nothing.
            phase = Phase.SETUP
        elif phase is Phase.UNKNOWN and _all_answer(halves):
            # Handing over: neither host calls the guest its own for a moment.
            call = self._departure.call
            ended = call is not None and call.done()
            phase = phase if ended else announced or self.phase
        # After a recovery past libvirt, it may take its time to see what QEMU does.
        ahead = phase is Phase.PAUSED and self.rescue is not None
        if ahead and self.rescue and (sample := await self.rescue.sample(at)) is not None:
            return sample
        status = doing or f"source: {halves[0]}; destination: {halves[1]}"
        return sample_of(self._statistics, at, phase, status=status, error=error)

    def _figure(self, event: DomainEvent) -> None:
        if event.kind == "job-completed":
            self._final = event.figures


def _all_answer(halves: tuple[Half, Half]) -> bool:
    return all(half.reachable for half in halves)
