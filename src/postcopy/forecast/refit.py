"""What the passes of a migration under way tell of its guest."""

import math
from collections.abc import Sequence
from itertools import pairwise

from postcopy.forecast.curve import Curve, Observation, least_in
from postcopy.forecast.rhythm import Rhythm, observed, rhythm_of
from postcopy.forecast.shapes import explain
from postcopy.forecast.view import View
from postcopy.migration.decision import History
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample

__all__ = ["time_left", "view_of", "watched_from_the_start"]

# Guests change: a pass counts for this much of the one after it.
_FADING = 0.8
_MOST_PASSES_KEPT = 10
# A pass is what the guest dirtied within this relative standard error.
_ERROR = 0.07
# A pass that has sent less than the rest of this says nothing.
_MOST_UNSENT = 0.9
# Curves less likely than this are not followed, nor more of them than so many.
_NEGLIGIBLE, _MOST_CURVES = 0.01, 8
# Turns by which the last passes come out wrong by so much, in the mean, are no turns.
_PASSES_TO_REFUTE, _REFUTED = 4, 0.25
# Passes that no curve explains, by this much of a factor's logarithm, are those of a guest that
# writes in bursts.
_UNEVEN = 0.3


def view_of(history: History, allowed_downtime: float | None = None) -> View | None:
    """Return what is known at the end of a pass; None while no pass has ended, or nothing moves.

    :param allowed_downtime: how long the guest may stand still; as long as is set now if None.
    """
    if not history.passes:
        return None
    last, bandwidth = history.passes[-1], history.bandwidth
    if bandwidth <= 0 or last.remaining_bytes <= 0:
        return None
    rhythm = rhythm_of(history, last.at)
    seen = _observations(history, rhythm)
    looks = observed(history)
    if rhythm is not None and _refuted(seen, looks):
        rhythm, seen = None, _observations(history, None)
    anchor = _anchor(seen, looks) if rhythm is not None else seen[-1]
    most = max(history.memory_bytes, last.remaining_bytes)
    likely = explain(
        anchor,
        [*looks, *(each for each in seen if each is not anchor)],
        most if history.memory_bytes else math.inf,
        error=_ERROR,
        fading=_FADING,
        negligible=_NEGLIGIBLE,
        most_curves=_MOST_CURVES,
    )
    floor = bandwidth * history.downtime_limit
    allowed = history.downtime_limit if allowed_downtime is None else allowed_downtime
    return View(
        left_bytes=last.remaining_bytes,
        bandwidth=bandwidth,
        limit_bytes=bandwidth * allowed,
        floor_bytes=min(floor, bandwidth * allowed),
        tail_bytes=_tail(history, floor),
        most_bytes=_most(history),
        curves=likely,
        luck=_luck(likely, seen) if rhythm is None else (1.0,),
        futures=tuple(rhythm.futures(last.at)) if rhythm is not None else (),
    )


def time_left(history: History, *, may_switch: bool) -> float | None:
    """Return the seconds until the migration has ended, as far as its passes tell; None if unknown.

    :param may_switch: whether post-copy ends it where pre-copy does not.
    """
    latest = history.latest
    bandwidth = history.bandwidth
    if latest is None or bandwidth <= 0:
        return None
    if latest.phase is Phase.POSTCOPY:
        return latest.remaining_bytes / (latest.bandwidth or bandwidth)
    if latest.phase is not Phase.PRECOPY:
        return None
    rest_of_pass = latest.remaining_bytes / bandwidth
    view = view_of(history)
    if view is None:
        return rest_of_pass  # the first pass: what is dirtied meanwhile is not known yet
    curve = max(view.curves, key=lambda each: each[1])[0]
    gone = latest.at - history.passes[-1].at
    last = view.ends(curve)[-1]
    if last.converged:
        return max(0.0, last.seconds + last.left_bytes / bandwidth - gone)
    if may_switch:
        return rest_of_pass + (0.0 if latest.pass_ended else curve(gone) / bandwidth)
    return None


def watched_from_the_start(history: History) -> bool:
    """Return whether the first pass was seen."""
    return bool(history.samples) and history.samples[0].pass_number <= 1


def _observations(history: History, rhythm: Rhythm | None) -> list[Observation]:
    """Return what each pass shows: what is left after it was dirtied while it went on.

    :param rhythm: when the guest rested; it dirtied next to nothing then.
    """

    def dirtied(begin: float, one: Sample, unsent: float = 0.0, of: float = 1.0) -> Observation:
        seconds = rhythm.active(begin, one.at) if rhythm is not None else one.at - begin
        # What was unsent may have been dirtied as well, and then counts once.
        fresh = max(one.remaining_bytes - unsent, 1.0) / (1 - unsent / of)
        return Observation(seconds, min(fresh, one.remaining_bytes))

    bandwidth, most = history.bandwidth, _most(history)
    limit = bandwidth * history.downtime_limit
    passes = history.passes[-_MOST_PASSES_KEPT - 1 :]
    seen: list[Observation] = []
    if passes[0] is history.passes[0] and (seconds := _first_seconds(history)) is not None:
        seen.append(dirtied(passes[0].at - seconds, passes[0]))
    for before, one in pairwise(passes):
        unsent = min(_unsent(before, one, bandwidth, limit), _MOST_UNSENT * most)
        seen.append(dirtied(before.at, one, unsent, most))
    if not seen:
        # Watched from the middle of a pass: all that is known is what that pass left.
        last = history.passes[-1]
        return [Observation(last.transferred_bytes / bandwidth, last.remaining_bytes)]
    return seen[-_MOST_PASSES_KEPT:]


def _most(history: History) -> float:
    """Return the most that a pass left, which is about all that the guest dirties."""
    return history.fold(_larger, 1.0)


def _larger(most: float, sample: Sample) -> float:
    return max(most, float(sample.remaining_bytes)) if sample.pass_ended else most


def _anchor(seen: Sequence[Observation], looks: Sequence[Observation]) -> Observation:
    """Return what a curve must go through, of a guest that rests: the last that shows it at work.

    A pass in which it hardly worked says less than a look at it while it did.
    """
    longest = max(looks, key=lambda each: each.seconds)
    return next((each for each in reversed(seen) if each.seconds >= longest.seconds), longest)


def _refuted(seen: Sequence[Observation], looks: Sequence[Observation]) -> bool:
    """Whether the turns that a guest was seen to take do not explain its last passes.

    W(t) only grows, and less and less: a pass in which the guest worked for longer than in another
    dirtied more, and in which it worked for half the time, at least half as much.
    """
    known = [*looks, *seen]
    missed = 0.0
    for one in (later := seen[1:][-_PASSES_TO_REFUTE:]):
        least = least_in(
            one.seconds, ((o.seconds, o.dirtied_bytes) for o in known if o.seconds > 0)
        )
        most = min(
            o.dirtied_bytes * max(1.0, one.seconds / o.seconds) for o in known if o.seconds > 0
        )
        largest = max(o.dirtied_bytes for o in later)
        missed += max(least - one.dirtied_bytes, one.dirtied_bytes - most, 0.0) / largest
    return len(later) >= 2 and missed > _REFUTED * len(later)


def _first_seconds(history: History) -> float | None:
    """Return how long the first pass took, also if it was not watched from its beginning."""
    first = history.passes[0]
    if history.started_at is None or not watched_from_the_start(history):
        return None
    watched = first.at - history.started_at
    return max(watched, first.transferred_bytes / history.bandwidth)


def _tail(history: History, limit: float) -> float:
    if len(history.passes) < 2:
        return 0.0
    before, last = history.passes[-2:]
    return _unsent(before, last, history.bandwidth, limit)


def _unsent(before: Sample, one: Sample, bandwidth: float, limit: float) -> float:
    """Return what a pass left unsent: QEMU ends one when the rest fits into the limit."""
    return min(max(0.0, before.remaining_bytes - bandwidth * (one.at - before.at)), limit)


def _luck(likely: Sequence[tuple[Curve, float]], seen: Sequence[Observation]) -> tuple[float, ...]:
    later = [one for one in seen[1:] if one.seconds > 0 and one.dirtied_bytes > 0]
    if len(later) < 3:
        return (1.0,)
    curve = max(likely, key=lambda each: each[1])[0]
    logs = [math.log(one.dirtied_bytes / max(curve(one.seconds), 1.0)) for one in later]
    mean = sum(logs) / len(logs)
    spread = math.sqrt(sum((each - mean) ** 2 for each in logs) / len(logs))
    if spread < _UNEVEN:
        return (1.0,)
    return tuple(math.exp(each) for each in logs)
