"""How far a guest has come with its work, and how much of it is missing."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise

from postcopy.forecast.model import Bursts
from postcopy.lab.records import Beat

__all__ = ["BASELINE_SECONDS", "HEARTBEAT_SECONDS", "Curve", "InBursts"]

HEARTBEAT_SECONDS = 0.020
"""How often witness.c sends a heartbeat."""

BASELINE_SECONDS = 2.0
"""How long before the start the guest's own pace is measured."""

_SHORTEST_BASELINE_SECONDS = 0.2
"""A pace measured in less says nothing."""

_FREEZE_SECONDS = 3 * HEARTBEAT_SECONDS
"""A longer silence is a freeze; a shorter one is jitter, which evens out."""

_BIN_SECONDS = 0.1
"""The width of a step in `Curve.steps`."""

_TOGETHER_SECONDS = 0.002
"""Beats that arrive closer than this were held up somewhere and came out together."""


class Curve:
    """A total that grows with time, known at some moments, straight in between: a guest's work.

    :param readings: a moment in Unix time, and the count then, in the order of time.
    """

    def __init__(self, readings: Iterable[tuple[float, float]]) -> None:
        self._at: list[float] = []
        self._total: list[float] = []
        total, previous = 0.0, None
        for at, reading in readings:
            # A count that was reset by a reboot adds nothing, and takes nothing away.
            total += max(0.0, reading - previous) if previous is not None else 0
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

    def growth(self, begin: float, end: float) -> float:
        """Return by how much it grew between two moments."""
        return self.total(end) - self.total(begin)

    def last_heard(self, end: float) -> float:
        """Return the last reading's moment if it is at most a beat's jitter before; else `end`."""
        if self._at and 0 <= end - self._at[-1] < _FREEZE_SECONDS:
            return self._at[-1]
        return end

    def rate_before(self, at: float, seconds: float = BASELINE_SECONDS) -> float:
        """Return the growth a second in so many seconds before; 0.0 when it is not known."""
        if not self._at:
            return 0.0
        begin, end = max(at - seconds, self._at[0]), min(at, self._at[-1])
        if end - begin < _SHORTEST_BASELINE_SECONDS:
            return 0.0
        return self.growth(begin, end) / (end - begin)

    def seconds_lost(self, begin: float, end: float, pace: float) -> float:
        """Return the seconds of growth at that pace that are missing between two moments.

        What is caught up after a freeze does not make the freeze undone.
        """
        end = self.last_heard(end)
        inner = [at for at in self._at if begin < at < end]
        frozen = slowed = 0.0
        for left, right in pairwise([begin, *inner, end]):
            missing = (right - left) - self.growth(left, right) / pace
            if right - left >= _FREEZE_SECONDS:
                frozen += max(0.0, missing)
            else:
                slowed += missing
        return frozen + max(0.0, slowed)

    def steps(self, begin: float, end: float) -> tuple[tuple[float, float], ...]:
        """Return (middle, growth a second) of each step from the first reading to the last."""
        if not self._at:
            return ()
        begin, end = max(begin, self._at[0]), min(end, self._at[-1])
        edges = [begin + n * _BIN_SECONDS for n in range(int((end - begin) / _BIN_SECONDS + 1.0))]
        return tuple(
            ((left + right) / 2, self.growth(left, right) / _BIN_SECONDS)
            for left, right in pairwise(edges)
        )


class InBursts:
    """The work of a guest in bursts, against what its own clock says that it should have done.

    The clock of a guest that is stopped stands still, and all its later bursts come later. Counted
    by anybody else's, that is a loss of all or nothing: as the watch ends in a rest or in a burst.
    """

    def __init__(self, beats: Sequence[Beat], work: Curve, bursts: Bursts) -> None:
        self._work, self._bursts = work, bursts
        self._clock = Curve((beat.at, beat.uptime_seconds) for beat in beats)
        self._first = beats[0].uptime_seconds if beats else 0.0

    def rate_before(self, at: float, seconds: float) -> float:
        """Return the pace of its bursts in so many seconds before; 0.0 when it is not known."""
        burst_seconds = self._burst_seconds(at - seconds, at)
        if burst_seconds < _SHORTEST_BASELINE_SECONDS:
            return 0.0
        return self._work.growth(at - seconds, at) / burst_seconds

    def seconds_lost(self, begin: float, end: float, pace: float) -> float:
        """Return the seconds of bursts at that pace that are missing between two moments.

        Of the time for which it was stopped, they are the part that bursts take of any time.
        """
        end = self._work.last_heard(end)
        stopped = (end - begin) - self._clock.growth(begin, end)
        done = self._work.growth(begin, end) / pace
        missing = self._burst_seconds(begin, end) - done + self._bursts.duty * stopped
        return max(0.0, missing)

    def _burst_seconds(self, begin: float, end: float) -> float:
        clock, first = self._clock, self._first
        return self._bursts.active_seconds(first + clock.total(begin), first + clock.total(end))
