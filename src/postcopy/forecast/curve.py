"""W(t): how much memory a guest dirties in t seconds, counting each page once.

A guest has sets of pages, each rewritten at random at a rate of its own. Of a set of `S` bytes that
is written at `r` bytes a second, ``S * (1 - exp(-r * t / S))`` are dirty after `t` seconds: almost
all writes hit clean pages at first, almost none once most of the set is dirty.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Curve", "HotSet", "Observation", "least_in"]

_expm1 = math.expm1


class HotSet(NamedTuple):
    """Pages that are rewritten.

    :param size_bytes: how much memory they are.
    :param rate: bytes written a second, a page counting whole and each time.
    :param sequential: one page after the other, and from the start again, instead of at random.
    """

    size_bytes: float
    rate: float
    sequential: bool = False

    def dirtied(self, seconds: float) -> float:
        """Return the bytes dirtied in so many seconds."""
        if self.size_bytes <= 0:
            return 0.0
        if self.sequential:
            return min(self.size_bytes, self.rate * seconds)
        return self.size_bytes * -math.expm1(-self.rate * seconds / self.size_bytes)


@dataclass(frozen=True, slots=True)
class Curve:
    """All of a guest's hot sets."""

    sets: tuple[HotSet, ...]
    size_bytes: float = field(init=False, compare=False)
    """What W can come to."""
    rate: float = field(init=False, compare=False)
    """Bytes written a second."""
    sweep_rate: float = field(init=False, compare=False)
    """The same of the fastest set that is written page after page; 0 without one."""
    _at_random: tuple[tuple[float, float], ...] = field(init=False, compare=False, repr=False)
    _sequential: tuple[HotSet, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # Asked for again and again, by policies and in the simulator.
        size = rate = sweep = 0.0
        at_random, sequential = [], []
        for each in self.sets:
            size += each.size_bytes
            rate += each.rate
            if each.sequential:
                sequential.append(each)
                sweep = max(sweep, each.rate)
            elif each.size_bytes > 0:
                at_random.append((each.size_bytes, -each.rate / each.size_bytes))
        set_ = object.__setattr__
        set_(self, "size_bytes", size)
        set_(self, "rate", rate)
        set_(self, "sweep_rate", sweep)
        set_(self, "_at_random", tuple(at_random))
        set_(self, "_sequential", tuple(sequential))

    def __call__(self, seconds: float) -> float:
        """Return W(`seconds`) in bytes."""
        total = 0.0
        for size, slope in self._at_random:
            total -= size * _expm1(slope * seconds)
        for each in self._sequential:
            total += each.dirtied(seconds)
        return total


class Observation(NamedTuple):
    """What was seen of a curve: in so many seconds, so many bytes became dirty.

    :param error_bytes: the standard error of that, besides what any such look is wrong by.
    """

    seconds: float
    dirtied_bytes: float
    error_bytes: float = 0.0


def least_in(seconds: float, seen: Iterable[tuple[float, float]]) -> float:
    """Return the bytes that a guest dirties in so many seconds at the least, as far as was seen.

    W(t) is concave: no less in more time, and in a part of the time at least that part.

    :param seen: in how many seconds, above 0, it dirtied how many bytes; 0.0 comes of nothing seen.
    """
    return max((many * min(1.0, seconds / length) for length, many in seen), default=0.0)
