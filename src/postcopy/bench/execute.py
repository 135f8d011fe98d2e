"""One run: the guest is watched undisturbed, moved, watched until all has come, and checked."""

import asyncio
from dataclasses import replace

from postcopy.bench.method import Method
from postcopy.bench.record import Measured
from postcopy.bench.scenario import Scenario
from postcopy.bench.stand import BenchGuest
from postcopy.bench.trip import Trip, travel
from postcopy.lab.observer import memory_verdict
from postcopy.migration.journal import Journal
from postcopy.migration.outcome import Fate

__all__ = ["BESIDE_SECONDS", "execute"]

# How long the guest is left alone first, to know its own pace.
_BASELINE_SECONDS = 2.0
# The pages that arrive last come after the end; the guest is watched until then.
_SETTLE_SECONDS = 1.0

BESIDE_SECONDS = _BASELINE_SECONDS + _SETTLE_SECONDS + 1.5
"""What a run takes besides the move itself, in seconds: for estimates."""


async def execute(
    guest: BenchGuest,
    scenario: Scenario,
    method: Method,
    repeat: int,
    journal: Journal,
    *,
    patience: float,
) -> Measured:
    """Move the guest to the host where it is not, and return what that was like for it.

    :param repeat: which repeat of the suite this is.
    :param patience: seconds after which a move that has not ended or switched is called off.
    :raises PostcopyError: when it could not be begun, or the guest does not answer any more.
    """
    await asyncio.sleep(_BASELINE_SECONDS)
    trip = await travel(guest, scenario, method, journal, patience)
    await asyncio.sleep(_SETTLE_SECONDS)
    measured = _measured(trip, scenario, method, repeat)
    if trip.fate not in (Fate.COMPLETED, Fate.CANCELLED):
        return measured
    observation = guest.observe(trip.started_at, trip.ended_at)
    verdict = await guest.verify()
    memory = memory_verdict(observation, verdict)
    trouble = [f"{memory['pages_wrong']} pages are wrong"] if memory["pages_wrong"] else []
    trouble += ["it rebooted"] if memory["rebooted"] else []
    trouble += ["it panicked"] if memory["panicked"] else []
    if not (trouble or observation.uptime_continuous):
        # On a machine that is short of processors, a recorder that is late looks the same.
        trouble = ["its clock leapt, or it was heard twice"]
    return replace(
        measured,
        longest_freeze_seconds=observation.longest_freeze_seconds,
        guest_seconds_lost=observation.guest_seconds_lost,
        baseline_rate=observation.baseline_rate,
        pages_checked=memory["pages_checked"],
        pages_wrong=memory["pages_wrong"],
        intact=not trouble,
        error="; ".join([measured.error, *trouble] if measured.error else trouble),
    )


def _measured(trip: Trip, scenario: Scenario, method: Method, repeat: int) -> Measured:
    return Measured(
        scenario=scenario,
        method=method.text,
        repeat=repeat,
        started_at=trip.started_at,
        fate=trip.fate,
        total_seconds=trip.total_seconds,
        downtime_seconds=trip.downtime_seconds,
        switched_after_seconds=trip.switched_after_seconds,
        transferred_bytes=trip.transferred_bytes,
        passes=trip.passes,
        run_id=trip.run_id,
        error=trip.error,
    )
