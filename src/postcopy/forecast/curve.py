"""W(t): how much memory a guest dirties in t seconds, counting each page once.

A guest has sets of pages, each rewritten at random at a rate of its own. Of a set of `S` bytes that
is written at `r` bytes a second, ``S * (1 - exp(-r * t / S))`` are dirty after `t` seconds: almost
all writes hit clean pages at first, almost none once most of the set is dirty.
"""

import math
from dataclasses import dataclass, field

__all__ = ["Curve", "HotSet", "Observation"]


@dataclass(frozen=True, slots=True)
class HotSet:
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

    def __post_init__(self) -> None:
        # Asked for again and again, by policies and in the simulator.
        object.__setattr__(self, "size_bytes", sum(each.size_bytes for each in self.sets))
        object.__setattr__(self, "rate", sum(each.rate for each in self.sets))

    def __call__(self, seconds: float) -> float:
        """Return W(`seconds`) in bytes."""
        total = 0.0
        for each in self.sets:
            total += each.dirtied(seconds)
        return total


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of a curve: in so many seconds, so many bytes became dirty.

    :param error_bytes: the standard error of that, besides what any such look is wrong by.
    """

    seconds: float
    dirtied_bytes: float
    error_bytes: float = 0.0
