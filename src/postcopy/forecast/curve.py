"""W(t): how much memory a guest dirties in t seconds, counting each page once.

A guest has sets of pages, each rewritten at random at a rate of its own. Of a set of `S` bytes that
is written at `r` bytes a second, ``S * (1 - exp(-r * t / S))`` are dirty after `t` seconds: almost
all writes hit clean pages at first, almost none once most of the set is dirty.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Curve", "HotSet", "Observation", "through", "weigh"]


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

    def __call__(self, seconds: float) -> float:
        """Return W(`seconds`) in bytes."""
        return sum(each.dirtied(seconds) for each in self.sets)

    @property
    def size_bytes(self) -> float:
        """What W can come to."""
        return sum(each.size_bytes for each in self.sets)

    @property
    def rate(self) -> float:
        """Bytes written a second."""
        return sum(each.rate for each in self.sets)


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of a curve: in so many seconds, so many bytes became dirty."""

    seconds: float
    dirtied_bytes: float


# The shapes that a curve may have: the share of W that is there at once because it is rewritten
# all the time, and how far the rest has gone towards its bound (in its own time constants).
_BENDS = (0.02, 0.5, 1.5, 4.0, 12.0)
_SHAPES = ((1.0, 12.0), *((core, bend) for core in (0.0, 0.25, 0.5, 0.75, 0.9) for bend in _BENDS))
# A core is rewritten whole in this part of the time in which it was seen.
_CORE_TIMES = 1 / 200


def through(seen: Observation, most_bytes: float) -> list[Curve]:
    """Return curves of every shape through one observation, none of which goes past `most_bytes`.

    They run from "the same pages all the time" to "ever new pages".
    """
    seconds, dirtied = max(seen.seconds, 1e-3), min(seen.dirtied_bytes, most_bytes)
    curves = []
    for core, bend in _SHAPES:
        fixed = core * dirtied
        rest = dirtied - fixed
        size = min(rest / -math.expm1(-bend), most_bytes - fixed)
        sets = []
        if fixed > 0:
            sets.append(HotSet(fixed, fixed / (_CORE_TIMES * seconds)))
        if rest > 0:
            size = max(size, rest * 1.0001)
            # Bounded by the guest's memory, the set must be written faster to come to as much.
            sets.append(HotSet(size, -size * math.log1p(-rest / size) / seconds))
        curves.append(Curve(tuple(sets)))
    return curves


def weigh(
    curves: Sequence[Curve], seen: Iterable[Observation], error: float = 0.1, fading: float = 1.0
) -> list[float]:
    """Return how likely each curve is after some observations; the weights sum to 1.

    :param seen: the latest one last.
    :param error: the relative standard error of an observation.
    :param fading: what an observation counts of what the next one does: guests change.
    """
    scores = [0.0] * len(curves)
    weight = 1.0
    for one in reversed(list(seen)):
        if one.seconds > 0 and one.dirtied_bytes > 0:
            for i, curve in enumerate(curves):
                miss = math.log(max(curve(one.seconds), 1.0) / one.dirtied_bytes) / error
                # Past 3 standard errors every curve is as wrong as the others: the guest changed.
                scores[i] -= weight * min(miss * miss, 9.0) / 2
        weight *= fading
    best = max(scores)
    weights = [math.exp(score - best) for score in scores]
    total = sum(weights)
    return [each / total for each in weights]
