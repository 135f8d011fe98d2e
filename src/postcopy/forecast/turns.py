"""What turns of work and rest a guest may take, after several looks at it, one after the other.

Every rhythm that a guest may have is laid over the looks; how well it agrees with which of them
found the guest at work, and which at rest, says how likely it is. A guest that was seen to work all
the time may still rest between looks, or for less than one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from operator import mul
from random import Random

from postcopy.forecast.model import Bursts
from postcopy.forecast.spells import UNEVEN

__all__ = ["Rhythm", "Turns", "known", "turns_of"]

# A guest takes turns as likely as not: of such lengths, each as likely as twice that, and working
# for such a part of them. Who watches for longer may see longer ones.
_ODDS, _PERIODS, _DUTIES = 0.5, (0.3, 6.0), (0.1, 0.9)
# So many are tried of each; of lengths, more where many looks tell them apart.
_LENGTHS, _MOST_LENGTHS, _LENGTHS_A_LOOK, _PARTS, _PLACES = 16, 64, 2, 8, 16
# A look says the wrong thing by chance so often.
_ERROR = 0.02
# And so often because turns are not as even as these.
_UNEVEN_ERROR = 0.05
# Turns are taken to be as even as that for so many looks.
_TOGETHER = 32
# What is less likely than the best by such a power of e is given up.
_HOPELESS = 12.0


@dataclass(frozen=True, slots=True)
class Rhythm:
    """One that a guest may have.

    :param bursts: its turns; None if it works all the time.
    :param weight: how likely it is.
    :param active: for which part of each look the guest worked then.
    :param pace: how many times as fast as is to be expected of all of them it works then.
    """

    bursts: Bursts | None
    weight: float
    active: tuple[float, ...] = ()
    pace: float = 1.0


@dataclass(frozen=True, slots=True)
class Turns:
    """Rhythms that agree with what was seen.

    :param rhythms: their likelihoods sum to 1.
    :param spread: how far each stands for its neighbours: a factor of the period, a part of the
        duty.
    """

    rhythms: tuple[Rhythm, ...]
    spread: tuple[float, float] = (1.0, 0.0)

    @property
    def active(self) -> tuple[float, ...]:
        """For which part of each look the guest worked, as is to be expected."""
        looks = zip(*(rhythm.active for rhythm in self.rhythms), strict=True)
        weights = [rhythm.weight for rhythm in self.rhythms]
        return tuple(sum(map(mul, weights, look)) for look in looks)

    @property
    def expected(self) -> Bursts:
        """The mean of all turns, if it takes some."""
        some = [(each.bursts, each.weight) for each in self.rhythms if each.bursts is not None]
        total = sum(weight for _, weight in some)
        duty = sum(bursts.duty * weight for bursts, weight in some) / total
        period = sum(math.log(bursts.period_seconds) * weight for bursts, weight in some) / total
        return Bursts(duty, math.exp(period))

    def paced(self, worked: Sequence[float | None]) -> "Turns":
        """Return the same with the pace at which looks find what they did.

        :param worked: for which part of each look a guest at its usual pace is taken to have
            worked; None for one that does not count.
        """

        def pace(rhythm: Rhythm) -> float:
            pairs = [(a, b) for a, b in zip(worked, rhythm.active, strict=True) if a is not None]
            slower = sum(math.log(a / max(b, _ERROR)) for a, b in pairs)
            return math.exp(slower / len(pairs)) if pairs else 1.0

        rhythms = (replace(rhythm, pace=pace(rhythm)) for rhythm in self.rhythms)
        return replace(self, rhythms=tuple(rhythms))

    def draw(self, random: Random) -> tuple[Bursts | None, float]:
        """Draw turns and where in one the migration begins, or none; and the pace at work."""
        weights = [rhythm.weight for rhythm in self.rhythms]
        [rhythm] = random.choices(self.rhythms, weights)
        if rhythm.bursts is None:
            return None, rhythm.pace
        factor, part = self.spread
        period = rhythm.bursts.period_seconds * factor ** random.uniform(-0.5, 0.5)
        duty = rhythm.bursts.duty + part * random.uniform(-0.5, 0.5)
        return Bursts(duty, period, offset_seconds=random.uniform(0.0, period)), rhythm.pace


def known(bursts: Bursts | None) -> Turns:
    """Return the turns of a guest whose turns are known, or that takes none."""
    return Turns((Rhythm(bursts, 1.0),))


def turns_of(looks: Sequence[tuple[float, bool | None]]) -> Turns:
    """Return what turns a guest may take.

    :param looks: how long each was, in seconds, and whether it found the guest at rest; None where
        it could not tell.
    """
    watched = sum(seconds for seconds, _ in looks)
    lengths = max(_LENGTHS, min(_MOST_LENGTHS, _LENGTHS_A_LOOK * len(looks)))
    factor = (max(_PERIODS[1], 2 * watched) / _PERIODS[0]) ** (1 / lengths)
    part = (_DUTIES[1] - _DUTIES[0]) / _PARTS
    even = sum(math.log(_ERROR if rest else 1 - _ERROR) for _, rest in looks if rest is not None)
    best = even
    laid: list[tuple[Bursts | None, float, tuple[float, ...]]] = [(None, even, (1.0,) * len(looks))]
    for length, step in product(range(lengths), range(_PARTS)):
        period = _PERIODS[0] * factor ** (length + 0.5)
        bursts = Bursts(_DUTIES[0] + part * (step + 0.5), period)
        if (found := _lay(bursts, looks, best - _HOPELESS)) is not None:
            best = max(best, found[0])
            laid.append((bursts, *found))
    prior = _ODDS / (lengths * _PARTS)
    weights = [
        (1 - _ODDS if bursts is None else prior) * math.exp(each - best) for bursts, each, _ in laid
    ]
    total = sum(weights)
    rhythms = (
        Rhythm(bursts, weight / total, active)
        for (bursts, _, active), weight in zip(laid, weights, strict=True)
    )
    return Turns(tuple(rhythms), (factor, part))


def _lay(
    bursts: Bursts, looks: Sequence[tuple[float, bool | None]], least: float
) -> tuple[float, tuple[float, ...]] | None:
    """Lay turns over the looks, wherever in one they began: anew for some at a time.

    :param least: the logarithm of the likelihood below which it is given up.
    :returns: that logarithm, and for which part of each look the guest worked; None if given up.
    """
    likelihood = 0.0
    active: list[float] = []
    for first in range(0, len(looks), _TOGETHER):
        some = looks[first : first + _TOGETHER]
        places = [
            _lay_at(bursts, bursts.period_seconds * (place + 0.5) / _PLACES, some)
            for place in range(_PLACES)
        ]
        top = max(each for each, _ in places)
        weights = [math.exp(each - top) for each, _ in places]
        likelihood += top + math.log(sum(weights) / _PLACES)
        if likelihood < least:
            return None
        columns = zip(*(parts for _, parts in places), strict=True)
        active.extend(sum(map(mul, weights, column)) / sum(weights) for column in columns)
    return likelihood, tuple(active)


def _lay_at(
    bursts: Bursts, begin: float, looks: Sequence[tuple[float, bool | None]]
) -> tuple[float, list[float]]:
    """Do the same with looks the first of which began so many seconds into a turn."""
    at, likelihood, parts = begin, 0.0, []
    for seconds, rest in looks:
        parts.append(bursts.active_seconds(at, at + seconds) / seconds)
        if rest is not None:
            resting = _found_at_rest(parts[-1])
            likelihood += math.log(resting if rest else 1 - resting)
        at += seconds
    return likelihood, parts


def _found_at_rest(active: float) -> float:
    """Return how likely a look finds a guest at rest that worked for a part of it.

    It finds less than a third of what it would (`UNEVEN`) only if the guest worked for less than
    that; but one that comes round to the same pages again dirties in a part what it does in all.
    """
    return _UNEVEN_ERROR + (1 - 2 * _UNEVEN_ERROR) * max(0.0, 1 - UNEVEN * active)
