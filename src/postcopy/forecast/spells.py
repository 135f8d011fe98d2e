"""What looks at a guest that is being moved come to: spells of work, and of rest.

A look says how much became dirty in a short time. Those that found far less than others say that
the guest rested. What came one after the other is folded into spells of either kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from postcopy.forecast.curve import least_in
from postcopy.migration.sample import Look, Sample

__all__ = ["NOTHING", "UNEVEN", "Seen", "Spell", "add", "rests"]

UNEVEN = 3.0
"""A look at a guest that rests finds less than one at the guest at work, by this factor."""

_MOST_SPELLS = 17
# Looks of about the same length, by this factor, are of one kind.
_SAME_LENGTH = 1.5


@dataclass(frozen=True, slots=True)
class Spell:
    """A time of rest, or one of work.

    :param look: one that found the most, as seconds and bytes.
    :param least: the least that one found, in bytes a second.
    :param looks: how many looks it took.
    """

    busy: bool
    begin: float
    end: float
    look: tuple[float, float]
    least: float
    looks: int = 1

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Seen:
    """What all looks come to.

    :param busy: of looks at the guest at work: seconds, the mean of what they found, how many.
    """

    busy: tuple[tuple[float, float, int], ...] = ()
    spells: tuple[Spell, ...] = ()


NOTHING = Seen()
"""Before the first look."""


def add(seen: Seen, sample: Sample) -> Seen:
    """Take the looks of one more sample into account; what `History.fold` takes."""
    for look in sample.looks:
        seen = _see(seen, look)
    return seen


def _see(seen: Seen, look: Look) -> Seen:
    """Take one more look into account."""
    found = (look.seconds, look.dirtied_bytes)
    busy = not rests(found, seen.busy)
    spells = seen.spells
    kinds = seen.busy
    if busy:
        kinds = _with(seen.busy, found)
        if kinds is not seen.busy and any(each.busy and rests(each.look, kinds) for each in spells):
            # It was taken to be at work, and was at rest: only now has it begun to work.
            spells = tuple(
                replace(each, busy=each.busy and not rests(each.look, kinds)) for each in spells
            )
            kinds = tuple(each for each in kinds if not rests(each[:2], kinds))
            spells = _joined(spells)
    rate = look.dirtied_bytes / look.seconds
    new = Spell(busy, look.at - look.seconds, look.at, found, rate)
    return Seen(kinds, _joined((*spells, new))[-_MOST_SPELLS:])


def rests(found: tuple[float, float], busy: Sequence[tuple[float, float, int]]) -> bool:
    """Whether a look found far less than it would have at work."""
    seconds, dirtied = found
    return dirtied * UNEVEN < least_in(seconds, ((length, many) for length, many, _ in busy))


def _with(
    busy: tuple[tuple[float, float, int], ...], found: tuple[float, float]
) -> tuple[tuple[float, float, int], ...]:
    seconds, dirtied = found
    for i, (length, mean, count) in enumerate(busy):
        if length / _SAME_LENGTH < seconds < length * _SAME_LENGTH:
            n = count + 1 if dirtied < UNEVEN * mean else 1
            weight = 1 / min(n, 10)
            now = (
                length + (seconds - length) * weight,
                mean + (dirtied - mean) * weight,
                n,
            )
            return (*busy[:i], now, *busy[i + 1 :])
    return (*busy, (seconds, dirtied, 1))


def _joined(spells: Sequence[Spell]) -> tuple[Spell, ...]:
    """Return spells that follow one another in turns: two of one kind are one."""
    found: list[Spell] = []
    for each in spells:
        if found and found[-1].busy is each.busy:
            last = found[-1]
            most = max(last.look, each.look, key=lambda look: look[1] / look[0])
            found[-1] = Spell(
                busy=each.busy,
                begin=last.begin,
                end=max(last.end, each.end),
                look=most,
                least=min(last.least, each.least),
                looks=last.looks + each.looks,
            )
        elif found:
            # A change between two looks is taken to have been half way.
            last = found[-1]
            middle = (last.end + each.begin) / 2 if each.begin > last.end else last.end
            found[-1] = replace(last, end=middle)
            found.append(replace(each, begin=middle))
        else:
            found.append(each)
    return tuple(found)
