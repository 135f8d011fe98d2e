"""What a switch now costs, against going on: for every curve that fits, in guest-seconds.

Used by `adaptive`. A switch now may also be one within the next pass: `wait` finds the moment.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from postcopy.forecast.curve import Curve
from postcopy.forecast.future import Future
from postcopy.forecast.view import Ahead, Tolls, View
from postcopy.units import format_seconds

__all__ = ["Chance", "Terms", "Weighed", "at_limit", "chances", "wait", "weigh"]

# A pass over a guest at rest comes out at this part of what it would else.
_AT_REST = 0.1
# Where in a pass the least may be outstanding, as shares of it. Waiting must save a part of what
# the switch costs, and be longer than supervisors' looks are apart, by far.
_MOMENTS = (0.02, 0.04, 0.07, 0.11, 0.16, 0.22, 0.3, 0.4, 0.5, 0.65)
_WORTH_WAITING, _SHORTEST_WAIT_SECONDS = 0.01, 0.3


@dataclass(frozen=True, slots=True)
class Weighed:
    """What going on would bring, in the mean over what the guest may be like.

    :param saved: guest-seconds, the price of the time taken off.
    :param seconds: how much longer it would take.
    :param stop: what switching now would cost.
    :param converging: how likely it is that the best end is one of pre-copy's own.
    """

    saved: float
    seconds: float
    stop: float
    converging: float

    def say(self, passes: str, price: float) -> str:
        """Tell people why to go on."""
        longer = f"{format_seconds(self.seconds)} more" if self.seconds > 0 else "no more time"
        return (
            f"passes shrink: {passes}; going on takes {longer} and is worth"
            f" {format_seconds(self.saved + price * max(0.0, self.seconds))} of guest time"
        )


@dataclass(frozen=True, slots=True)
class Chance:
    """One way in which the guest may go on.

    :param luck: the factor by which the next pass comes out otherwise than the curve says.
    :param future: when it rests, if it was seen to.
    """

    weight: float
    luck: float = 1.0
    future: Future | None = None

    def works(self, at: float, seconds: float) -> float:
        """Return for which part of a time ahead the guest works: at rest it misses nothing.

        :param at: when that begins, in seconds from now.
        """
        if self.future is None:
            return 1.0
        return self.future.active(at, at + seconds) / seconds if seconds > 0 else 1.0

    @property
    def duty(self) -> float:
        """For which part of its time the guest works in the long run.

        So much of a stop is lost, whenever it comes: the guest's clock stands still, and what it
        does comes later by that.
        """
        return 1.0 if self.future is None else self.future.duty


def chances(view: View, rest: float) -> tuple[Chance, ...]:
    """Return how the guest may go on."""
    if view.futures:
        return tuple(Chance(weight, future=future) for future, weight in view.futures)
    if len(view.luck) > 1:
        return tuple(Chance(1 / len(view.luck), luck) for luck in view.luck)
    return (Chance(1 - rest), Chance(rest, _AT_REST)) if rest > 0 else (Chance(1.0),)


class Terms(NamedTuple):
    """On what terms ends are compared.

    :param price: guest-seconds that a second is worth.
    :param resume_seconds: what a stop of pre-copy costs, besides the time for what is left.
    :param seconds_left: until the deadline, if there is one.
    """

    price: float
    resume_seconds: float
    seconds_left: float | None = None

    def cost(self, view: View, end: Ahead, chance: Chance, lost: Callable[[float], float]) -> float:
        """Return what an end costs, in guest-seconds, the deadline aside.

        :param lost: what a switch with so much left costs a guest at work.
        """
        rest = end.left_bytes / view.bandwidth
        if end.converged:
            harm = (rest + self.resume_seconds) * chance.duty
        else:
            harm = lost(end.left_bytes) * chance.works(end.seconds, rest)
        return self.price * (end.seconds + rest) + harm


def weigh(view: View, tolls: Tolls, chances: Sequence[Chance], terms: Terms) -> Weighed:
    """Compare switching now with the best that may come of one more pass or several."""
    saved = longer = stop_now = converging = 0.0
    now = view.seconds_to_send(view.left_bytes)
    here, one_more = view.here, terms.price * view.pass_seconds
    for curve, weight, lost in tolls:
        for chance in chances:
            share = weight * chance.weight
            stop = terms.cost(view, here, chance, lost)
            stop_now += share * stop
            best, cost = _best(view, curve, chance, terms, lost)
            if len(chances) > 1:
                # One that had bad luck may still wait for better.
                cost = min(cost, stop + one_more)
            saved += share * (stop - cost)
            converging += share * best.converged
            longer += share * (best.seconds + view.seconds_to_send(best.left_bytes) - now)
    return Weighed(saved, longer, stop_now, converging)


def at_limit(view: View, tolls: Tolls, chances: Sequence[Chance], terms: Terms) -> float:
    """Return what it saves to use all of the downtime that is allowed from the next pass on.

    Where that pass then does not end pre-copy, there is a switch at its end, which comes sooner.
    One in a rest needs no other stop for that (`wait` finds the moment): of a guest that takes
    turns nothing is won then, and its next rest ends with the longer stop.
    """
    saved = 0.0
    here = view.here
    longer = view.seconds_to_send(view.limit_bytes - view.floor_bytes)
    for curve, weight, lost in tolls:
        for chance in chances:
            end = view.at_limit(curve, chance.future)
            if end.converged or chance.future is None:
                cost = terms.cost(view, end, chance, lost)
            else:
                _, cost = _best(view, curve, chance, terms, lost)
                cost += chance.duty * longer
            saved += weight * chance.weight * (terms.cost(view, here, chance, lost) - cost)
    return saved


def _best(
    view: View, curve: Curve, chance: Chance, terms: Terms, lost: Callable[[float], float]
) -> tuple[Ahead, float]:
    """Return the best end that going on can come to, and its cost in guest-seconds."""
    ends = view.ends(curve, chance.luck, chance.future)
    costs = [terms.cost(view, end, chance, lost) for end in ends]
    if terms.seconds_left is not None:
        for number, end in enumerate(ends):
            seconds = end.seconds + view.seconds_to_send(end.left_bytes)
            if seconds > terms.seconds_left:
                costs[number] += seconds  # past the deadline: as good as a freeze all along
    least = min(costs)
    return ends[costs.index(least)], least


def wait(view: View, tolls: Tolls, chances: Sequence[Chance], price: float) -> tuple[float, float]:
    """Return for how long to go on with the next pass before the switch, and what that saves.

    All that was dirtied is outstanding when a pass has ended. Then pages are sent, and at first
    few of those are dirtied again: for a while less and less is outstanding, and while a guest
    rests, all the time.
    """
    seconds = view.seconds_to_send(view.left_bytes)
    works = sum(chance.weight * chance.works(0.0, seconds) for chance in chances)
    now = works * sum(weight * lost(view.left_bytes) for _, weight, lost in tolls)
    moments = [share * seconds for share in _MOMENTS]
    futures = [chance.future for chance in chances if chance.future is not None]
    moments += [at for future in futures for at in future.rests_end if at < seconds]
    best, saved, most = 0.0, 0.0, _WORTH_WAITING * (now + price * seconds)
    before = 0.0
    for wait in sorted(moments):
        if wait < _SHORTEST_WAIT_SECONDS:
            continue
        gain = now
        for curve, weight, lost in tolls:
            for chance in chances:
                left = view.outstanding(curve, wait, chance.future)
                rest = left / view.bandwidth
                harm = lost(left) * chance.works(wait, rest)
                gain -= weight * chance.weight * (harm + price * (wait + rest - seconds))
        if gain > most:
            best, saved, most = wait, gain, gain
        if gain < before and not futures:
            break  # of a guest that does not rest, less and less is won from here on
        before = gain
    return best, saved
