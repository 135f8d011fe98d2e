"""From several looks at a guest to how it may dirty its memory.

Every shape that a curve may have is laid through all looks as well as it will go; how well it goes
says how likely it is. What the looks leave open stays open: a guest that was watched for two
seconds may do anything in a minute that begins like that.
"""

import math
from collections.abc import Sequence
from statistics import fmean

from postcopy.errors import UsageError
from postcopy.forecast.curve import Curve, HotSet, Observation, least_in
from postcopy.forecast.inputs import Dirtying
from postcopy.forecast.spells import UNEVEN
from postcopy.forecast.turns import Turns, turns_of
from postcopy.units import format_bytes

__all__ = ["fit"]

# Of a normal distribution, 9 in 10 lie within so many standard deviations.
_NINETY = 1.645
# What any look misreads by, besides what it says itself: windows are not exact, guests not even.
_LOOK_ERROR, _LEAST_ERROR = 0.05, 0.03
# What one that found nothing is taken to have found, as a part of what it errs by.
_FOUND_NOTHING = 0.3
# For which part of a look a guest worked that takes turns is known within so much of the rest.
_PART_ERROR = 0.5
# Looks of about the same length, by this factor, are told from each other by what they found, if
# there are a few.
_SAME_LENGTH, _FEW = 1.2, 3
# Longer looks at the same guest that find less than shorter ones did, by this factor, contradict
# them: no guest dirties less in more time.
_CONTRADICTION = 1.5
# Nothing is known worse than this.
_MOST_FACTOR = 100.0

# The share of what the longest look found that is rewritten all the time; how far the rest had
# gone towards its bound by then, in its own time constants; in what part of that look a sweep had
# gone round. A sweep is taken to be so likely beforehand.
_CORES = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9)
_BENDS = (0.02, 0.05, 0.1, *(0.15 * 1.3**i for i in range(24)))
_ROUNDS = (0.1, 0.15, 0.22, 0.33, 0.45, 0.6, 0.75, 0.9, 1.0, 1.3, 1.7, 2.5, 4.0, 8.0, 20.0, 60.0)
_SWEEPS = 0.2
_CORE_TIMES = 1 / 200


def fit(
    seen: Sequence[Observation], memory_bytes: float, resolution_bytes: float = 0.0
) -> Dirtying:
    """Return how a guest may dirty its memory, after several looks.

    :param resolution_bytes: the least that a look could see.
    :raises UsageError: when there was none.
    """
    if not seen:
        raise UsageError("nothing was measured", hint="say how the guest writes: --dirty")
    notes: list[str] = []
    floor = max(resolution_bytes, 1.0)
    # One that found nothing says that it is less than it errs by, not that it is nothing.
    least = [max(floor / 2, _FOUND_NOTHING * o.error_bytes) for o in seen]
    looks = [
        Observation(o.seconds, max(o.dirtied_bytes, few), o.error_bytes)
        for o, few in zip(seen, least, strict=True)
    ]
    resting = [_rests(look, looks, floor) for look in looks]
    turns = turns_of([(o.seconds, rests) for o, rests in zip(looks, resting, strict=True)])
    bursts = turns.expected if any(resting) else None
    worked = _worked(turns, resting)
    busy = [_of_work(look, part) for look, part in zip(looks, worked, strict=True) if part]
    if bursts is not None:
        notes.append(
            f"it rests for {1 - bursts.duty:.0%} of the time, some"
            f" {(1 - bursts.duty) * bursts.period_seconds:.1f} s at a time"
        )
    # Rests are seen by looks that follow one another, and not by a long one that takes in several.
    short = [look for look in looks if len(_alike(look, looks)) >= _FEW] or looks
    told = (o for o, rests in zip(looks, resting, strict=True) if rests is not None)
    if not any(look in short for look in told):
        notes.append("it dirties too little to tell whether it rests now and then")
    disagreement = _disagreement(busy)
    if disagreement > _CONTRADICTION:
        notes.append("the measurements contradict each other: longer looks found less")
    longest = max(busy, key=lambda o: (o.seconds, o.dirtied_bytes))
    if longest.dirtied_bytes <= floor:
        notes.append(f"it dirties less than {format_bytes(floor)} in {longest.seconds:.1f} s")
    curves, error = _explain(busy, longest, memory_bytes)
    factor = max(math.exp(_NINETY * error), disagreement if disagreement > _CONTRADICTION else 1.0)
    return Dirtying(
        curves,
        factor=min(factor, _MOST_FACTOR),
        bursts=bursts,
        turns=turns.paced(worked),
        notes=tuple(notes),
        looks=_summed_up(busy),
    )


def _explain(
    looks: Sequence[Observation], longest: Observation, memory_bytes: float
) -> tuple[tuple[tuple[Curve, float], ...], float]:
    """Return the curves with their likelihoods, and the standard error of how much they come to."""
    spreads = [max(_LOOK_ERROR, min(1.0, _spread(o))) for o in looks]
    room = memory_bytes / longest.dirtied_bytes
    tried: list[tuple[Curve, float, float]] = []
    for curve, prior in _unit_curves(room):
        height, misses = _lay(curve, looks, spreads, longest.seconds)
        tried.append((_stretched(curve, height, longest.seconds, memory_bytes), prior, misses))
    least = min(misses for _, _, misses in tried)
    # Where even the best shape misses by more than looks are known to, they are known worse.
    widen = max(1.0, least / max(1, len(looks) - 2))
    weighed = [(c, prior * math.exp((least - m) / (2 * widen))) for c, prior, m in tried]
    total = sum(weight for _, weight in weighed)
    kept = [(c, w) for c, w in weighed if w > 1e-3 * total]
    total = sum(weight for _, weight in kept)
    error = math.sqrt(widen / sum(s**-2 for s in spreads))
    return tuple((curve, weight / total) for curve, weight in kept), max(_LEAST_ERROR, error)


def _spread(look: Observation) -> float:
    return math.hypot(_LOOK_ERROR, look.error_bytes / look.dirtied_bytes)


def _unit_curves(room: float) -> list[tuple[Curve, float]]:
    """Return curves that come to 1 at the end of the longest look, taken as the unit of time."""
    found: list[tuple[Curve, float]] = []
    for core in _CORES:
        rest = 1.0 - core
        least = -math.log1p(-rest / max(room - core, rest * 1.0001))
        always = (HotSet(core, core / _CORE_TIMES),) if core else ()
        for bend in (*(b for b in _BENDS if b > least), least):
            whole = rest / -math.expm1(-bend)
            found.append((Curve((*always, HotSet(whole, whole * bend))), 1.0))
    random = len(found)
    for part in _ROUNDS:
        size = max(1.0, min(part, room))
        sweep = HotSet(size, 1.0 / min(part, 1.0), sequential=True)
        found.append((Curve((sweep,)), _SWEEPS / (1 - _SWEEPS) * random / len(_ROUNDS)))
    return found


def _lay(
    curve: Curve, looks: Sequence[Observation], spreads: Sequence[float], unit_seconds: float
) -> tuple[float, float]:
    """Return how high a curve must be to explain the looks best, and by how much it misses them."""
    gaps = [math.log(o.dirtied_bytes / curve(o.seconds / unit_seconds)) for o in looks]
    weights = [spread**-2 for spread in spreads]
    mean = sum(g * w for g, w in zip(gaps, weights, strict=True)) / sum(weights)
    misses = sum((g - mean) ** 2 * w for g, w in zip(gaps, weights, strict=True))
    return math.exp(mean), misses


def _stretched(curve: Curve, height: float, unit_seconds: float, most_bytes: float) -> Curve:
    shrink = min(1.0, most_bytes / (curve.size_bytes * height))
    return Curve(
        tuple(
            HotSet(s.size_bytes * height * shrink, s.rate * height / unit_seconds, s.sequential)
            for s in curve.sets
        )
    )


def _summed_up(looks: Sequence[Observation]) -> tuple[Observation, ...]:
    """Return one look of about each length, the mean of all of them."""
    groups: list[list[Observation]] = []
    for look in sorted(looks):
        if groups and look.seconds <= _SAME_LENGTH * groups[-1][0].seconds:
            groups[-1].append(look)
        else:
            groups.append([look])
    return tuple(
        Observation(fmean(o.seconds for o in group), fmean(o.dirtied_bytes for o in group))
        for group in groups
    )


def _disagreement(looks: Sequence[Observation]) -> float:
    """Return by what factor a longer look found less than a shorter one, more than either errs."""
    worst = 1.0
    for short in looks:
        for long in looks:
            if long.seconds > short.seconds:
                most = _at_least(short)
                least = long.dirtied_bytes + 2 * long.error_bytes
                worst = max(worst, most / least)
    return worst


def _worked(turns: Turns, resting: Sequence[bool | None]) -> list[float | None]:
    """Return for which part of each look the guest is taken to have worked; None for a rest.

    One that was never seen to rest is taken to have worked all the time.
    """
    if not any(resting):
        return [1.0] * len(resting)
    active = zip(turns.active, resting, strict=True)
    return [None if rests else part for part, rests in active]


def _of_work(look: Observation, part: float) -> Observation:
    """Return a look at a guest that worked for a part of it, as one at work alone."""
    unsure = _PART_ERROR * (1 - part) * look.dirtied_bytes
    error = math.hypot(look.error_bytes, unsure)
    return Observation(look.seconds * part, look.dirtied_bytes, error)


def _alike(look: Observation, looks: Sequence[Observation]) -> list[Observation]:
    least, most = look.seconds / _SAME_LENGTH, look.seconds * _SAME_LENGTH
    return [o for o in looks if least <= o.seconds <= most]


def _rests(look: Observation, looks: Sequence[Observation], floor: float) -> bool | None:
    """Whether a look found far less than others say that it must have at work.

    None where so little is found at work that finding far less would not be seen.
    """
    most = _at_work(look, looks)
    if most < UNEVEN * floor:
        return None
    return look.dirtied_bytes + 2 * look.error_bytes < most / UNEVEN


def _at_work(look: Observation, looks: Sequence[Observation]) -> float:
    """Return what a look finds at work at the least: others of its length, or all, if a few."""
    alike = _alike(look, looks)
    most = max(o.dirtied_bytes for o in alike) if len(alike) >= _FEW else 0.0
    if len(looks) >= 2 * _FEW:
        most = max(most, least_in(look.seconds, ((o.seconds, _at_least(o)) for o in looks)))
    return most


def _at_least(look: Observation) -> float:
    return look.dirtied_bytes - 2 * look.error_bytes
