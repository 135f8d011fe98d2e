"""Looks at a guest while it is migrated, by page sampling, through its source's monitor.

QEMU samples pages in a thread of its own, also during a migration. `postcopy.qemu.measure` says why
no other way is taken.
"""

import logging

from postcopy.clock import Clock
from postcopy.errors import PostcopyError
from postcopy.forecast.watching import next_look
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Look, Sample
from postcopy.plan.measured import sampled
from postcopy.qemu.monitor import Monitor
from postcopy.qemu.sampling import GIB, begin_sampling, samples_a_gib, takes_milliseconds

__all__ = ["Looking"]

_log = logging.getLogger(__name__)

# Pages of each GiB to sample at most. A look is to tell work from rest, four times a second, and
# takes its time from a processor that the guest may need: 9 ms for four times as many of 256 MiB.
_SAMPLES_MOST = 4096
# QEMU may be late with an answer by so much before it is not waited for any more.
_LATE_SECONDS = 5.0


class Looking:
    """Takes one look after the other; the caller's loop is its clock.

    A look is a wish: a QEMU that refuses one is not asked again, and the migration goes on.
    """

    def __init__(self, monitor: Monitor, clock: Clock) -> None:
        self._monitor = monitor
        self._clock = clock
        self._fine: bool | None = None
        self._began: float | None = None
        self._seconds = 0.0
        self._samples = 0
        self._pass_bytes = 0
        self._found: list[Look] = []
        self._over = False

    def take(self) -> tuple[Look, ...]:
        """Return what was seen since it was asked last."""
        found, self._found = tuple(self._found), []
        return found

    async def go_on(self, sample: Sample) -> None:
        """Begin a look, or fetch what one has found that is over by now.

        :param sample: the latest one. Looks are taken while memory moves in pre-copy, and no more.
        """
        if sample.pass_ended or not self._pass_bytes:
            self._pass_bytes = sample.remaining_bytes
        if self._over or sample.phase is not Phase.PRECOPY or sample.bandwidth <= 0:
            return
        try:
            if self._began is None:
                await self._begin(sample)
            elif self._clock.now() >= self._began + self._seconds:
                await self._fetch(sample)
        except PostcopyError as error:
            _log.info("no more looks at the guest: %s", error.message)
            self._over = True

    async def _begin(self, sample: Sample) -> None:
        if self._fine is None:
            self._fine = await takes_milliseconds(self._monitor)
        seconds = next_look(self._pass_bytes / sample.bandwidth, self._seconds)
        self._seconds = seconds if self._fine else float(max(1, round(seconds)))
        self._samples = min(_SAMPLES_MOST, samples_a_gib(sample.total_bytes))
        self._began = self._clock.now()
        await begin_sampling(self._monitor, self._seconds, self._samples, fine=self._fine)

    async def _fetch(self, sample: Sample) -> None:
        assert self._began is not None  # there is nothing to fetch before
        answer = await self._monitor.execute("query-dirty-rate")
        ended = self._began + self._seconds
        if answer["status"] != "measured":
            self._over = self._clock.now() > ended + _LATE_SECONDS
            return
        seen = sampled(self._seconds, answer["dirty-rate"], GIB / self._samples)
        self._found.append(Look(ended, self._seconds, seen.dirtied_bytes))
        await self._begin(sample)
