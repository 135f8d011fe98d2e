"""One run: the guest is watched undisturbed, moved, watched until all has come, and checked."""

import asyncio
import time
from dataclasses import replace

from postcopy.bench.load.answers import Answers
from postcopy.bench.method import Method
from postcopy.bench.record import Measured
from postcopy.bench.scenario import Scenario
from postcopy.bench.stand import Stand
from postcopy.bench.trip import Trip, travel
from postcopy.lab.observer import (
    BASELINE_SECONDS,
    baseline_seconds,
    memory_verdict,
    whole_periods,
)
from postcopy.migration.journal import Journal
from postcopy.migration.outcome import Fate

__all__ = ["BESIDE_SECONDS", "execute"]

# The pages that arrive last come after the end; the guest is watched until then.
_SETTLE_SECONDS = 1.0

BESIDE_SECONDS = BASELINE_SECONDS + _SETTLE_SECONDS + 1.5
"""What a run takes besides the move itself, in seconds: for estimates."""


async def execute(
    stand: Stand,
    scenario: Scenario,
    method: Method,
    repeat: int,
    journal: Journal,
    *,
    patience: float,
) -> Measured:
    """Move the guest to the host where it is not, and return what that was like for it.

    Of one with a server, the answers that its users got are its progress, and every write that it
    acknowledged is read back.

    :param repeat: which repeat of the suite this is.
    :param patience: seconds after which a move that has not ended or switched is called off.
    :raises PostcopyError: when it could not be begun, or the guest does not answer any more.
    """
    guest = stand.guest
    period = scenario.workload_spec.period_seconds
    before = baseline_seconds(period)
    await asyncio.sleep(before)
    trip = await travel(guest, scenario, method, journal, patience)
    watched = whole_periods(trip.ended_at + _SETTLE_SECONDS - trip.started_at, period)
    await asyncio.sleep(max(0.0, trip.started_at + watched - time.time()))
    measured = _measured(trip, scenario, method, repeat)
    if trip.fate not in (Fate.COMPLETED, Fate.CANCELLED):
        return measured
    lost = 0
    if stand.load is not None:
        answers = await stand.load.answers()
        measured = _asked(measured, answers, trip)
        lost = await stand.load.lost(answers)
    observation = guest.observe(trip.started_at, trip.ended_at, before=before)
    verdict = await guest.verify()
    memory = memory_verdict(observation, verdict)
    trouble = [f"{memory['pages_wrong']} pages are wrong"] if memory["pages_wrong"] else []
    trouble += [f"writes to {lost} rows are lost"] if lost else []
    trouble += ["it rebooted"] if memory["rebooted"] else []
    trouble += ["it panicked"] if memory["panicked"] else []
    if not (trouble or observation.uptime_continuous):
        # On a machine that is short of processors, a recorder that is late looks the same.
        trouble = ["its clock leapt, or it was heard twice"]
    return replace(
        measured,
        longest_freeze_seconds=observation.longest_freeze_seconds,
        guest_seconds_lost=measured.guest_seconds_lost
        if stand.load
        else observation.guest_seconds_lost,
        baseline_rate=measured.baseline_rate if stand.load else observation.baseline_rate,
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


def _asked(measured: Measured, answers: Answers, trip: Trip) -> Measured:
    begin, end = trip.started_at - BASELINE_SECONDS, trip.ended_at + _SETTLE_SECONDS
    work = answers.work()
    pace = work.rate_before(trip.started_at)
    return replace(
        measured,
        latency=answers.latency(begin, trip.started_at, end),
        guest_seconds_lost=work.seconds_lost(trip.started_at, end, pace) if pace else 0.0,
        baseline_rate=pace,
    )
