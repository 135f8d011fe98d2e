"""Which curves W(t) explain what was seen of one, and how well.

Anything may be dirtied as a core, rewritten all the time, and a rest that goes towards a bound of
its own. Every curve goes exactly through one observation, the anchor; the others tell how likely
each shape is. Pure arithmetic over a few numbers a shape, because a policy does it at each pass.
"""

import math
from collections.abc import Iterable

from postcopy.forecast.curve import Curve, HotSet, Observation

__all__ = ["explain"]

# The share of W that is there at once because it is rewritten all the time.
_CORES = (0.0, 0.03, 0.1, 0.3, 0.6, 0.85)
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
# In so many of its time constants a set is full.
_FULL = 40.0


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
    shapes = _shapes(dirtied, most_bytes)
    bends = {bend for _, bend, _ in shapes}
    scores = [0.0] * len(shapes)
    bound = _MOST_ERRORS * _MOST_ERRORS
    weight = 0.5
    for one in reversed(list(others)):
        if one.seconds > 0 and one.dirtied_bytes > 0:
            x = one.seconds / seconds
            spread = error + _FAR_ERROR * abs(math.log(x))
            if one.error_bytes:
                spread = math.hypot(spread, one.error_bytes / one.dirtied_bytes)
            # In standard errors, as the misses are.
            scale, seen = dirtied / one.dirtied_bytes / spread, 1.0 / spread
            core = -math.expm1(-x / _CORE_TIMES) if x < _FULL * _CORE_TIMES else 1.0
            full = {b: -math.expm1(-b * x) if b * x < _FULL else 1.0 for b in bends}
            for i, (share, bend, whole) in enumerate(shapes):
                miss = (share * core + whole * full[bend]) * scale - seen
                miss *= miss
                scores[i] -= weight * min(miss, bound)
        weight *= fading
    best = max(scores)
    weights = [math.exp(score - best) for score in scores]
    kept = [(s, each) for s, each in zip(shapes, weights, strict=True) if each > negligible]
    if len(kept) > most_curves:
        kept = _stand_in(kept, most_curves)
    total = sum(each for _, each in kept)
    return tuple((_curve(shape, dirtied, seconds), each / total) for shape, each in kept)


Shape = tuple[float, float, float]
"""The core's share of the anchor; the rest's bend; the rest's bound, as a share of the anchor."""


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


_KNOWN = [
    (core, [(core, bend, (1.0 - core) / -math.expm1(-bend)) for bend in _BENDS]) for core in _CORES
]


def _shapes(dirtied: float, most_bytes: float) -> list[Shape]:
    """Return the shapes that there are; bounded by the guest's memory, a set must bend the more."""
    shapes: list[Shape] = [(1.0, 0.0, 0.0)]
    room = most_bytes / dirtied
    for core, known in _KNOWN:
        rest = 1.0 - core
        least = -math.log1p(-rest / max(room - core, rest * 1.0001)) if room < math.inf else 0.0
        if least <= _BENDS[0]:
            shapes += known
        else:
            shapes += [shape for shape in known if shape[1] > least]
            shapes.append((core, least, rest / -math.expm1(-least)))
    return shapes


def _curve(shape: Shape, dirtied: float, seconds: float) -> Curve:
    core, bend, whole = shape
    sets = []
    if core > 0:
        sets.append(HotSet(core * dirtied, core * dirtied / (_CORE_TIMES * seconds)))
    if whole > 0:
        sets.append(HotSet(whole * dirtied, whole * dirtied * bend / seconds))
    return Curve(tuple(sets))
