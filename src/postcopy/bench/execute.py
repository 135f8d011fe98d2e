"""One run: the guest is watched undisturbed, moved, watched until all has come, and checked."""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import replace

from postcopy.bench.load.answers import Answers
from postcopy.bench.method import Method
from postcopy.bench.record import Measured
from postcopy.bench.scenario import Scenario
from postcopy.bench.stand import Stand
from postcopy.bench.trip import Trip, travel
from postcopy.lab.observer import baseline_seconds, memory_verdict
from postcopy.lab.records import Beat, Record
from postcopy.lab.work import BASELINE_SECONDS
from postcopy.migration.journal import Journal
from postcopy.migration.outcome import Fate

__all__ = ["BESIDE_SECONDS", "execute", "seconds_to_begin"]

# The pages that arrive last come after the end; the guest is watched until then.
_SETTLE_SECONDS = 1.0

# Steps of this share of a whole come to all parts of it evenly, however many they are.
_GOLDEN = (math.sqrt(5) - 1) / 2

BESIDE_SECONDS = BASELINE_SECONDS + _SETTLE_SECONDS + 1.5
"""What a run takes besides the move itself, in seconds: for estimates."""


def seconds_to_begin(records: Sequence[Record], now: float, period: float, repeat: int) -> float:
    """Return how long to wait with a guest in bursts, until the moment of a burst that is next.

    Whether a move meets a burst or a rest is luck, which costs more than methods differ by. Each
    repeat begins at another moment of a burst, the same one for all methods.

    :param records: what the guest has said; its bursts follow its own clock (witness.c).
    :param now: in Unix time.
    """
    beat = next((one for one in reversed(records) if isinstance(one, Beat)), None)
    if beat is None:
        return 0.0
    clock = beat.uptime_seconds + now - beat.at
    return (repeat * _GOLDEN % 1.0 * period - clock) % period


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
    bursts = scenario.workload_spec.bursts
    before = baseline_seconds(bursts)
    await asyncio.sleep(before)
    if bursts is not None:
        period = bursts.period_seconds
        await asyncio.sleep(seconds_to_begin(guest.console(), time.time(), period, repeat))
    trip = await travel(guest, scenario, method, journal, patience)
    await asyncio.sleep(max(0.0, trip.ended_at + _SETTLE_SECONDS - time.time()))
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
