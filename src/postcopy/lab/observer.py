"""What a guest went through, worked out from what it was heard to say.

Start with `observe`. Nothing in here touches a guest: the same records (`postcopy.lab.records`,
whose names are handed on from here) always give the same answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypedDict

from postcopy.forecast.model import Bursts
from postcopy.lab.records import (
    Beat,
    Failure,
    Ready,
    Record,
    Text,
    Verdict,
    find_verdict,
    merge,
    read_log,
)
from postcopy.lab.work import BASELINE_SECONDS, HEARTBEAT_SECONDS, Curve, InBursts

__all__ = [
    "observe",
    "baseline_seconds",
    "Observation",
    "memory_verdict",
    "Memory",
    "read_log",
    "merge",
    "find_verdict",
    "Record",
    "Beat",
    "Ready",
    "Verdict",
    "Failure",
    "Text",
]

_BASELINE_BURSTS = 2

_LATE_SECONDS = 1.0
"""How late a beat may be heard before its guest's clock is said to have leapt."""

_BACK_SECONDS = 1.0
_BACK_BEATS = 10
"""Two hosts' recorders may disagree this much about the order of beats around the switch; a reboot
takes the guest back much further."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What a guest went through between two moments.

    :ivar baseline_rate: its writes a second just before, in its bursts if it has such; 0.0 when it
        wrote nothing then.
    :ivar longest_freeze_seconds: the longest silence between two beats that touches the time
        observed. A guest that never froze still has one, of about 20 ms.
    :ivar guest_seconds_lost: how much of its own work it did not get done, in seconds of its own
        pace while it works: the sum of what freezes and slowness cost. Work caught up after a
        freeze does not make the freeze undone.
    :ivar pages_wrong_seen: pages that it found wrong while rewriting them, since the start.
    :ivar rebooted: it began anew.
    :ivar panicked: its kernel gave up.
    :ivar uptime_continuous: its clock and its count of beats went on together: no step back, no
        leap forward, no beat told twice.
    :ivar beats: how many heartbeats arrived in the time observed.
    :ivar progress: (middle of a step of 100 ms in Unix seconds, writes a second in it), also of
        the time before the start in which its pace was measured.
    """

    baseline_rate: float
    longest_freeze_seconds: float
    guest_seconds_lost: float
    pages_wrong_seen: int
    rebooted: bool
    panicked: bool
    uptime_continuous: bool
    beats: int
    progress: tuple[tuple[float, float], ...]


class Memory(TypedDict):
    """Whether a guest and its memory came through."""

    pages_checked: int
    pages_wrong: int
    rebooted: bool
    panicked: bool


def memory_verdict(observation: Observation, verdict: Verdict) -> Memory:
    """Put together what the guest found while it worked and when it was asked.

    A page that was found wrong is made right at once, so none is counted twice.
    """
    return {
        "pages_checked": verdict.pages_checked,
        "pages_wrong": observation.pages_wrong_seen + verdict.pages_wrong,
        "rebooted": observation.rebooted,
        "panicked": observation.panicked,
    }


def baseline_seconds(bursts: Bursts | None) -> float:
    """Return for how long to leave a guest alone to know its pace: some bursts, if it has such."""
    if bursts is None:
        return BASELINE_SECONDS
    return max(BASELINE_SECONDS, _BASELINE_BURSTS * bursts.period_seconds)


def observe(
    records: Sequence[Record],
    started: float,
    ended: float,
    settle: float = 1.0,
    *,
    undisturbed: float | None = None,
    before: float = BASELINE_SECONDS,
    bursts: Bursts | None = None,
) -> Observation:
    """Work out what a guest went through from `started` until `settle` seconds after `ended`.

    The records have to reach that far: a guest that is not heard of counts as frozen.

    :param undisturbed: until when the guest's own pace is measured; `started` if not said.
    :param before: for how many seconds until then.
    :param bursts: of a guest that works in such, by its own clock. Its pace is that of a burst,
        and its rests are no loss.
    """
    end = ended + settle
    if bursts is not None:
        before = max(before, bursts.period_seconds)
    beats = [record for record in records if isinstance(record, Beat)]
    # What was so before is not this migration's doing.
    latest = [beat for beat in beats if beat.at <= started][-1:]
    since = latest[0].at if latest else started
    concerned = latest + [beat for beat in beats if beat.at > started]
    later = [record for record in records if record.at > since]

    calm = started if undisturbed is None else undisturbed
    work = Curve((beat.at, beat.writes) for beat in beats)
    paced = work if bursts is None else InBursts(beats, work, bursts)
    baseline = paced.rate_before(calm, before)
    if baseline > 0:
        lost = paced.seconds_lost(started, end, baseline)
    else:
        pulse = Curve((beat.at, beat.sequence) for beat in beats)
        pace = pulse.rate_before(calm, before) or 1 / HEARTBEAT_SECONDS
        lost = pulse.seconds_lost(started, end, pace)

    rebooted = any(_went_back(*pair) for pair in pairwise(concerned)) or (
        bool(latest) and any(isinstance(record, Ready) for record in later)
    )
    wrong = [beat.wrong for beat in concerned]
    return Observation(
        baseline_rate=baseline,
        longest_freeze_seconds=_longest_silence(beats, started, end),
        guest_seconds_lost=lost,
        pages_wrong_seen=max(wrong, default=0) - (wrong[0] if latest else 0),
        rebooted=rebooted,
        panicked=any(isinstance(r, Text) and "Kernel panic" in r.text for r in later),
        uptime_continuous=not rebooted and _is_continuous(concerned),
        beats=sum(started <= beat.at <= end for beat in beats),
        progress=work.steps(started - before, end),
    )


def _longest_silence(beats: Sequence[Beat], started: float, end: float) -> float:
    arrivals = [beat.at for beat in beats]
    if not arrivals or arrivals[-1] < end:
        arrivals.append(end)
    if arrivals[0] > started:
        arrivals.insert(0, started)
    touching = (b - a for a, b in pairwise(arrivals) if b > started and a < end)
    return max(touching, default=0.0)


def _went_back(before: Beat, after: Beat) -> bool:
    return (
        after.sequence < before.sequence - _BACK_BEATS
        or after.uptime_seconds < before.uptime_seconds - _BACK_SECONDS
    )


def _is_continuous(beats: Sequence[Beat]) -> bool:
    if len({beat.sequence for beat in beats}) < len(beats):
        return False
    # A host that is short of processors may be late to hear what a guest said before it left.
    ordered = sorted(beats, key=lambda beat: beat.sequence)
    heard_at = ordered[0].at if ordered else 0.0
    for before, after in pairwise(ordered):
        passed = after.uptime_seconds - before.uptime_seconds
        # A frozen guest skips beats, so the count may fall behind the clock, never the reverse.
        if passed < (after.sequence - before.sequence - 2) * HEARTBEAT_SECONDS:
            return False
        # A guest may freeze between looking at its clock and saying what it saw: it did look after
        # its last beat had been heard, but maybe long before this one was.
        if passed > after.at - heard_at + _LATE_SECONDS:
            return False
        heard_at = before.at
    return True
