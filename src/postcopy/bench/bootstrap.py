"""Medians, ratios of medians, and how well they are known: the bootstrap. Pure.

An interval is that of the percentile bootstrap (Efron 1979): the middle 95 % of what the figure
comes to in samples drawn, with replacement, from the runs. Drawn the same way each time, so that
the same runs always give the same interval. Of fewer than six runs it is no more than their range.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

__all__ = ["Estimate", "interval", "median", "ratio"]

_DRAWS = 1000
_TAIL = 0.025


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, and the interval that it lies in 19 times in 20 as far as the runs tell."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"median": self.value, "low": self.low, "high": self.high}


def median(values: Sequence[float]) -> Estimate:
    """Return the median of one figure over several runs; there must be one."""
    value = statistics.median(values)

    def drawn(random: Random) -> float:
        return statistics.median(random.choices(values, k=len(values)))

    return interval(value, drawn)


def ratio(
    ours: Mapping[int, float], theirs: Mapping[int, float], *, paired: bool = True
) -> Estimate | None:
    """Return the ratio of two medians.

    :param ours: a figure of each run, by the repeat that it was measured in.
    :param theirs: what it is divided by.
    :param paired: runs of the same repeat were made one after the other on the same guest, and are
        drawn together; only repeats that both have count then.
    :returns: None when there is nothing to divide, or by nothing.
    """
    if paired:
        both = sorted(ours.keys() & theirs.keys())
        left, right = [ours[i] for i in both], [theirs[i] for i in both]
    else:
        left, right = list(ours.values()), list(theirs.values())
    if not left or not right or statistics.median(right) <= 0:
        return None
    value = statistics.median(left) / statistics.median(right)

    def drawn(random: Random) -> float:
        first = random.choices(range(len(left)), k=len(left))
        second = first if paired else random.choices(range(len(right)), k=len(right))
        divisor = statistics.median(right[i] for i in second)
        return statistics.median(left[i] for i in first) / divisor if divisor > 0 else math.inf

    return interval(value, drawn)


def interval(value: float, drawn: Callable[[Random], float]) -> Estimate:
    """Return a figure with the interval of what it comes to in draws of the runs."""
    random = Random(1)
    draws = sorted(drawn(random) for _ in range(_DRAWS))
    low, high = draws[round(_DRAWS * _TAIL)], draws[round(_DRAWS * (1 - _TAIL)) - 1]
    return Estimate(value, min(low, value), max(high, value))
