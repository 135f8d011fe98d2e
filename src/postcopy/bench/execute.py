"""One run: the guest is watched undisturbed, moved, watched until all has come, and checked."""

import asyncio
from dataclasses import replace

from postcopy.bench.method import Method
from postcopy.bench.record import Measured
from postcopy.bench.scenario import Scenario
from postcopy.bench.trip import Trip, travel
from postcopy.lab.domain import LabDomain
from postcopy.lab.guest import LabGuest
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
    guest: LabGuest | LabDomain,
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
    whole = not (memory["pages_wrong"] or memory["rebooted"] or memory["panicked"])
    return replace(
        measured,
        longest_freeze_seconds=observation.longest_freeze_seconds,
        guest_seconds_lost=observation.guest_seconds_lost,
        baseline_rate=observation.baseline_rate,
        pages_checked=memory["pages_checked"],
        pages_wrong=memory["pages_wrong"],
        intact=whole and observation.uptime_continuous,
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
