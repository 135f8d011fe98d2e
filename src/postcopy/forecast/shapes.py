"""Which curves W(t) explain what was seen of one, and how well.

Anything may be dirtied as a core, rewritten all the time, and a rest that goes towards a bound of
its own; or as a sweep. Every curve goes exactly through one observation, the anchor; the others
tell how likely each shape is. Pure arithmetic over a few numbers a shape, because a policy does it
at each pass.
"""

import bisect
import math
from collections.abc import Iterable

from postcopy.forecast.curve import Curve, HotSet, Observation

__all__ = ["explain"]

# The share of W that is there at once because it is rewritten all the time.
_CORES = (1.0, 0.0, 0.03, 0.1, 0.3, 0.6, 0.85)
# How far the rest has gone towards its bound at the anchor, in its own time constants.
_BENDS = (
    0.02,
    0.3,
    0.6,
    1.0,
    1.5,
    2.2,
    3.3,
    4.8,
    6.5,
    8.5,
    11.0,
    15.0,
    22.0,
    40.0,
    80.0,
    160.0,
    400.0,
)
# A core is rewritten whole in this part of the time in which it was seen.
_CORE_TIMES = 1 / 200
# Real guests have more than two sets of pages: over other times, by a factor of e, they are told so
# much worse.
_FAR_ERROR = 0.01
# Past so many standard errors every curve is as wrong as the others: the guest changed.
_MOST_ERRORS = 4.0
# For each bend: the rest grows as ``factor * expm1(-bend * time)``, which is 1 at the anchor.
_GROWTH = [(-bend, 1.0 / math.expm1(-bend)) for bend in _BENDS]


def explain(
    anchor: Observation,
    others: Iterable[Observation],
    most_bytes: float,
    *,
    error: float = 0.1,
    fading: float = 1.0,
    negligible: float = 0.01,
    most_curves: int = 100,
) -> tuple[tuple[Curve, float], ...]:
    """Return the curves through an observation that others do not rule out; weights sum to 1.

    :param others: the latest one last.
    :param most_bytes: what no curve goes past.
    :param error: the relative standard error of an observation.
    :param fading: what an observation counts of what the next one does: guests change.
    :param negligible: what is less likely than this part of the likeliest is left out.
    :param most_curves: no more of them than so many, which then stand for those beside them.
    """
    seconds = max(anchor.seconds, 1e-3)
    dirtied = max(min(anchor.dirtied_bytes, most_bytes), 1.0)
    families = [_Family(core, most_bytes / dirtied) for core in _CORES]
    known = list(others)
    # One page after the other: straight until it starts again, which was not before the most seen.
    turn = max([1.0, *(min(each.dirtied_bytes, most_bytes) / dirtied for each in known)])
    weight, sweep = 0.5, 0.0
    for one in reversed(known):
        if one.seconds > 0 and one.dirtied_bytes > 0:
            x = one.seconds / seconds
            spread = error + _FAR_ERROR * abs(math.log(x))
            if one.error_bytes:
                spread = math.hypot(spread, one.error_bytes / one.dirtied_bytes)
            # In standard errors, as the misses are.
            scale, seen = dirtied / one.dirtied_bytes / spread, 1.0 / spread
            _hold_against(families, x, scale, seen, weight)
            sweep -= weight * min((min(x, turn) * scale - seen) ** 2, _MOST_ERRORS**2)
        weight *= fading
    kept = _likely(families, (0.0, 0.0, turn), sweep, negligible)
    if len(kept) > most_curves:
        kept = _stand_in(kept, most_curves)
    total = sum(each for _, each in kept)
    return tuple((_curve(shape, dirtied, seconds), each / total) for shape, each in kept)


Shape = tuple[float, float, float]
"""The core's share of the anchor; the rest's bend, or 0 if it goes straight to its bound as a sweep
does; and that bound, as a multiple of the anchor."""


class _Family:
    """The shapes that have a core of one share, and how well they fit what they were held against.

    :param room: the guest's memory, as a multiple of the anchor: a rest that it bounds must bend.
    """

    __slots__ = ("core", "first", "least", "scores")
    first: int
    """The first of `_BENDS` that is possible."""
    least: float
    """The bend that comes to just what there is room for; 0 if all are possible."""

    def __init__(self, core: float, room: float) -> None:
        rest = 1.0 - core
        self.core, self.first, self.least = core, 0, 0.0
        if rest <= 0:
            self.first = len(_BENDS) - 1  # without a rest its bend says nothing: one will do
        elif room < math.inf:
            least = -math.log1p(-rest / max(room - core, rest * 1.0001))
            if least > _BENDS[0]:
                self.first, self.least = bisect.bisect_right(_BENDS, least), least
        self.scores = [0.0] * (len(_BENDS) - self.first + bool(self.least))

    def shapes(self) -> list[Shape]:
        """Return them in the order of the scores."""
        known = _SHAPES[self.core][self.first :]
        return [*known, _shape(self.core, self.least)] if self.least else known


def _shape(core: float, bend: float) -> Shape:
    return core, bend, (1.0 - core) / -math.expm1(-bend)


_SHAPES = {core: [_shape(core, bend) for bend in _BENDS] for core in _CORES}


def _hold_against(
    families: list[_Family], x: float, scale: float, seen: float, weight: float
) -> None:
    """Take off every shape's score how far it misses an observation.

    :param x: how long the observation was; the anchor is 1.
    :param scale: what the anchor comes to in its standard errors.
    :param seen: what was seen, in the same.
    """
    grown = [factor * math.expm1(slope * x) for slope, factor in _GROWTH]
    core = -math.expm1(-x / _CORE_TIMES)
    root, most = math.sqrt(weight), weight * _MOST_ERRORS * _MOST_ERRORS
    for family in families:
        base = root * (family.core * core * scale - seen)
        slope = root * (1.0 - family.core) * scale
        # As plain as can be: of all that a decision takes, a fifth is spent here.
        scores = family.scores
        for i, rest in enumerate(grown[family.first :] if family.first else grown):
            miss = base + slope * rest
            miss *= miss
            scores[i] -= miss if miss < most else most  # noqa: FURB136 - a call takes as long
        if family.least:
            rest = math.expm1(-family.least * x) / math.expm1(-family.least)
            scores[-1] -= min((base + slope * rest) ** 2, most)


def _likely(
    families: list[_Family], sweeping: Shape, sweep: float, negligible: float
) -> list[tuple[Shape, float]]:
    """Return the shapes that are not negligible, with their likelihoods, the best having 1.

    :param sweep: the score of the shape `sweeping`.
    """
    bests = [max(family.scores) for family in families]
    best = max(sweep, *bests)
    least = best + math.log(negligible)
    sweeps = [(sweeping, math.exp(sweep - best))] if sweep > least else []
    return sweeps + [
        (shape, math.exp(score - best))
        for family, its_best in zip(families, bests, strict=True)
        if its_best > least
        for shape, score in zip(family.shapes(), family.scores, strict=True)
        if score > least
    ]


def _stand_in(weighed: list[tuple[Shape, float]], most: int) -> list[tuple[Shape, float]]:
    """Return some of the shapes, taken at even steps through the likelihood of all."""
    step = sum(weight for _, weight in weighed) / most
    found: list[tuple[Shape, float]] = []
    gone, due = 0.0, step / 2
    for shape, weight in weighed:
        gone += weight
        count = 0
        while due <= gone and len(found) < most:
            count, due = count + 1, due + step
        if count:
            found.append((shape, count * step))
    return found


def _curve(shape: Shape, dirtied: float, seconds: float) -> Curve:
    core, bend, whole = shape
    sets = []
    if core > 0:
        sets.append(HotSet(core * dirtied, core * dirtied / (_CORE_TIMES * seconds)))
    if bend <= 0:
        sets.append(HotSet(whole * dirtied, dirtied / seconds, sequential=True))
    elif whole > 0:
        sets.append(HotSet(whole * dirtied, whole * dirtied * bend / seconds))
    return Curve(tuple(sets))
