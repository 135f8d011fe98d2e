"""What a guest went through, worked out from what it was heard to say.

Start with `observe`. Nothing in here touches a guest: the same records (`postcopy.lab.records`,
whose names are handed on from here) always give the same answer.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypedDict

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

__all__ = [
    "observe",
    "baseline_seconds",
    "whole_periods",
    "Observation",
    "Curve",
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

HEARTBEAT_SECONDS = 0.020
"""How often witness.c sends a heartbeat."""

BASELINE_SECONDS = 2.0
"""How long before the start the guest's own pace is measured."""

_BASELINE_BURSTS = 2

SHORTEST_BASELINE_SECONDS = 0.2
"""A pace measured in less says nothing."""

FREEZE_SECONDS = 3 * HEARTBEAT_SECONDS
"""A longer silence is a freeze; a shorter one is jitter, which evens out."""

BIN_SECONDS = 0.1
"""The width of a step in `Observation.progress`."""

_TOGETHER_SECONDS = 0.002
"""Beats that arrive closer than this were held up somewhere and came out together."""

_LATE_SECONDS = 1.0
"""How late a beat may be heard before its guest's clock is said to have leapt."""

_BACK_SECONDS = 1.0
_BACK_BEATS = 10
"""Two hosts' recorders may disagree this much about the order of beats around the switch; a reboot
takes the guest back much further."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What a guest went through between two moments.

    :ivar baseline_rate: its writes a second just before; 0.0 when it wrote nothing then.
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


def whole_periods(seconds: float, period: float) -> float:
    """Return the shortest time of whole periods that is no shorter; itself without a period."""
    return math.ceil(seconds / period) * period if period else seconds


def baseline_seconds(period: float) -> float:
    """Return for how long to leave a guest alone to know its pace: some bursts, if it has such."""
    return whole_periods(max(BASELINE_SECONDS, _BASELINE_BURSTS * period), period)


def observe(
    records: Sequence[Record],
    started: float,
    ended: float,
    settle: float = 1.0,
    *,
    undisturbed: float | None = None,
    before: float = BASELINE_SECONDS,
    period: float = 0.0,
    duty: float = 1.0,
) -> Observation:
    """Work out what a guest went through from `started` until `settle` seconds after `ended`.

    The records have to reach that far: a guest that is not heard of counts as frozen.

    :param undisturbed: until when the guest's own pace is measured; `started` if not said.
    :param before: for how many seconds until then.
    :param period: of a guest that works in bursts. Its pace and what it lost are measured over
        whole periods: its rests are no loss.
    :param duty: for which part of a period it works. A second without work is then a second lost,
        and not as many as its pace in a burst is above its mean.
    """
    end = started + whole_periods(ended + settle - started, period)
    before = whole_periods(before, period)
    beats = [record for record in records if isinstance(record, Beat)]
    # What was so before is not this migration's doing.
    latest = [beat for beat in beats if beat.at <= started][-1:]
    since = latest[0].at if latest else started
    concerned = latest + [beat for beat in beats if beat.at > started]
    later = [record for record in records if record.at > since]

    calm = started if undisturbed is None else undisturbed
    work = Curve((beat.at, beat.writes) for beat in beats)
    baseline = work.rate_before(calm, before)
    if baseline > 0 and period:
        # Its silences say nothing: it may have been about to rest.
        lost = duty * max(0.0, work.seconds_behind(started, end, baseline))
    elif baseline > 0:
        lost = work.seconds_lost(started, end, baseline)
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


class Curve:
    """A total that grows with time, known at some moments, straight in between: a guest's work.

    :param readings: a moment in Unix time, and the count then, in the order of time.
    """

    def __init__(self, readings: Iterable[tuple[float, int]]) -> None:
        self._at: list[float] = []
        self._total: list[float] = []
        total, previous = 0, None
        for at, reading in readings:
            # A count that was reset by a reboot adds nothing, and takes nothing away.
            total += max(0, reading - previous) if previous is not None else 0
            previous = reading
            if self._at and at - self._at[-1] < _TOGETHER_SECONDS:
                self._total[-1] = total
            else:
                self._at.append(at)
                self._total.append(total)

    def total(self, at: float) -> float:
        """Return the total at a moment; before the first and after the last it stands still."""
        right = bisect_right(self._at, at)
        if right == 0:
            return self._total[0] if self._total else 0.0
        if right == len(self._at):
            return self._total[-1]
        begin, end = self._at[right - 1], self._at[right]
        share = (at - begin) / (end - begin)
        return self._total[right - 1] + share * (self._total[right] - self._total[right - 1])

    def rate_before(self, at: float, seconds: float = BASELINE_SECONDS) -> float:
        """Return the growth a second in so many seconds before; 0.0 when it is not known."""
        if not self._at:
            return 0.0
        begin, end = max(at - seconds, self._at[0]), min(at, self._at[-1])
        if end - begin < SHORTEST_BASELINE_SECONDS:
            return 0.0
        return (self.total(end) - self.total(begin)) / (end - begin)

    def seconds_behind(self, begin: float, end: float, pace: float) -> float:
        """Return how many seconds of growth at that pace are missing between two moments in all."""
        return (end - begin) - (self.total(end) - self.total(begin)) / pace

    def seconds_lost(self, begin: float, end: float, pace: float) -> float:
        """Return the seconds of growth at that pace that are missing between two moments.

        What is caught up after a freeze does not make the freeze undone.
        """
        if self._at and 0 <= end - self._at[-1] < FREEZE_SECONDS:
            end = self._at[-1]
        inner = [at for at in self._at if begin < at < end]
        frozen = slowed = 0.0
        for left, right in pairwise([begin, *inner, end]):
            missing = self.seconds_behind(left, right, pace)
            if right - left >= FREEZE_SECONDS:
                frozen += max(0.0, missing)
            else:
                slowed += missing
        return frozen + max(0.0, slowed)

    def steps(self, begin: float, end: float) -> tuple[tuple[float, float], ...]:
        """Return (middle, growth a second) of each step from the first reading to the last."""
        if not self._at:
            return ()
        begin, end = max(begin, self._at[0]), min(end, self._at[-1])
        edges = [begin + n * BIN_SECONDS for n in range(int((end - begin) / BIN_SECONDS + 1.0))]
        return tuple(
            ((left + right) / 2, (self.total(right) - self.total(left)) / BIN_SECONDS)
            for left, right in pairwise(edges)
        )
