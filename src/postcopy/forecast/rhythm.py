"""When a guest writes and when it rests, as looks at it during its migration show.

A look says how much became dirty in a short time. Those that found far less than others say that
the guest rested. What came one after the other is folded into spells of either kind; from how long
they were follows how long the present one may go on, and what a pass ahead will meet.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from postcopy.forecast.curve import Observation
from postcopy.migration.decision import History
from postcopy.migration.sample import Look, Sample

__all__ = ["Future", "Rhythm", "observed", "rhythm_of"]

# A look at a guest that rests finds less than one at the guest at work, by this factor.
_UNEVEN = 3.0
_MOST_SPELLS = 17
# Looks of about the same length, by this factor, are of one kind.
_SAME_LENGTH = 1.5
# Spells that are not even so many looks long may as well be chance.
_LEAST_LOOKS = 2.0
# Nobody knows how long a spell goes on that has outlasted all before it: shorter or longer than it
# has been, by these factors.
_OUTLASTING = (0.5, 1.0, 2.0)
# Spells of one guest differ by so much.
_SPREAD = 0.1


@dataclass(frozen=True, slots=True)
class _Spell:
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
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class _Seen:
    """What all looks come to.

    :param busy: of looks at the guest at work: seconds, the mean of what they found, how many.
    """

    busy: tuple[tuple[float, float, int], ...] = ()
    spells: tuple[_Spell, ...] = ()


@dataclass(frozen=True, slots=True)
class Future:
    """One way in which a guest may go on: how long until it changes, and in what turns then.

    :param idle: how fast it writes while it rests, as a share of its pace at work.
    """

    busy: bool
    until_change: float
    work_seconds: float
    rest_seconds: float
    idle: float

    def active(self, begin: float, end: float) -> float:
        """Return for how much of a time the guest will have written; both in seconds from now."""
        return self._until(end) - self._until(begin)

    def _until(self, at: float) -> float:
        pace = 1.0 if self.busy else self.idle
        if at <= self.until_change:
            return pace * at
        done, at = pace * self.until_change, at - self.until_change
        turns, at = divmod(at, self.work_seconds + self.rest_seconds)
        done += turns * (self.work_seconds + self.idle * self.rest_seconds)
        first, paces = (
            (self.rest_seconds, (self.idle, 1.0))
            if self.busy
            else (self.work_seconds, (1.0, self.idle))
        )
        return done + paces[0] * min(at, first) + paces[1] * max(0.0, at - first)

    @property
    def duty(self) -> float:
        """The share of the time in which it works."""
        return self.work_seconds / (self.work_seconds + self.rest_seconds)

    @property
    def rests_end(self) -> tuple[float, ...]:
        """When rests end, in seconds from now: the one under way, if there is, and the next."""
        if self.until_change == inf:
            return ()
        if self.busy:
            return (self.until_change + self.rest_seconds,)
        return self.until_change, self.until_change + self.work_seconds + self.rest_seconds


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A guest that works and rests in turns.

    :param idle: how fast it writes while it rests, as a share of its pace at work.
    """

    spells: tuple[_Spell, ...]
    idle: float

    def active(self, begin: float, end: float) -> float:
        """Return for how much of a time gone by the guest wrote, rest counting for a little."""
        rested = sum(
            max(0.0, min(end, each.end) - max(begin, each.begin))
            for each in self.spells
            if not each.busy
        )
        return end - begin - (1 - self.idle) * rested

    def futures(self, now: float) -> list[tuple[Future, float]]:
        """Return how it may go on from a moment, with the likelihood of each way."""
        spells = [each for each in self.spells if each.begin < now]
        last = spells[-1]
        gone = now - last.begin
        # When the first began was not seen, so that it was longer: better than nothing.
        alike, others = (
            [each.seconds for each in spells[1:-1] if each.busy is busy]
            or [each.seconds for each in spells[:-1] if each.busy is busy]
            for busy in (last.busy, not last.busy)
        )
        # A look that is partly of either kind counts as work: rests may be longer than they seem.
        left = [
            each - gone + blur
            for each in _some(alike)
            for blur in (0.0, last.look[0])
            if each * (1 + _SPREAD) + blur > gone
        ]
        outlasted = not left
        if outlasted:
            left = [gone * factor for factor in _OUTLASTING]
        never = 1 / (len(alike) + 2) if outlasted else 0.0
        other = sum(others) / len(others) if others else gone
        found: list[tuple[Future, float]] = []
        for seconds in left:
            same = sum(alike) / len(alike) if alike else gone + seconds
            work, rest = (same, other) if last.busy else (other, same)
            seconds = max(seconds, _SPREAD * same / 2)
            found.append(
                (Future(last.busy, seconds, work, rest, self.idle), (1 - never) / len(left))
            )
        if never:
            found.append((replace(found[0][0], until_change=inf), never))
        return found

    def resting(self, since: float) -> bool | None:
        """Return whether it rests now; None if it has worked all the time since a moment."""
        if not self.spells[-1].busy:
            return True
        return None if self.spells[-1].begin <= since else False


def _some(values: Sequence[float]) -> list[float]:
    """Return a few that stand for all."""
    ranked = sorted(values)
    return ranked if len(ranked) < 3 else [ranked[len(ranked) // 4], ranked[-1 - len(ranked) // 4]]


def rhythm_of(history: History, at: float | None = None) -> Rhythm | None:
    """Return the turns that a guest takes; None for one that was not seen to change.

    :param at: as of then; of the latest look if None.
    """
    seen = history.fold(_add, _NOTHING)
    spells = [each for each in seen.spells if at is None or each.begin < at]
    if len(spells) < 2:
        return None
    inner = spells[1:-1]
    if inner and sum(each.looks for each in inner) < _LEAST_LOOKS * len(inner):
        return None  # what looks as long as its turns show of a guest is chance
    pace = max(dirtied / seconds for seconds, dirtied, _ in seen.busy)
    # A look may have caught a bit of work at the end of a rest.
    resting = sorted(each.least for each in spells if not each.busy)
    idle = min(1 / _UNEVEN, resting[len(resting) // 2] / pace)
    return Rhythm(tuple(spells), idle)


def observed(history: History) -> list[Observation]:
    """Return what looks found of the guest at work, before its migration and during it.

    A look before that found it at rest is one of those that say nothing of that.
    """
    seen = history.fold(_add, _NOTHING)
    before = [each for each in history.looks if not _rests(each, seen.busy)]
    return [
        *(Observation(seconds, dirtied) for seconds, dirtied in before),
        *(Observation(seconds, dirtied) for seconds, dirtied, _ in sorted(seen.busy)),
    ]


_NOTHING = _Seen()


def _add(seen: _Seen, sample: Sample) -> _Seen:
    for look in sample.looks:
        seen = _see(seen, look)
    return seen


def _see(seen: _Seen, look: Look) -> _Seen:
    """Take one more look into account."""
    found = (look.seconds, look.dirtied_bytes)
    busy = not _rests(found, seen.busy)
    spells = seen.spells
    kinds = seen.busy
    if busy:
        kinds = _with(seen.busy, found)
        if kinds is not seen.busy and any(
            each.busy and _rests(each.look, kinds) for each in spells
        ):
            # It was taken to be at work, and was at rest: only now has it begun to work.
            spells = tuple(
                replace(each, busy=each.busy and not _rests(each.look, kinds)) for each in spells
            )
            kinds = tuple(each for each in kinds if not _rests(each[:2], kinds))
            spells = _joined(spells)
    rate = look.dirtied_bytes / look.seconds
    new = _Spell(busy, look.at - look.seconds, look.at, found, rate)
    return _Seen(kinds, _joined((*spells, new))[-_MOST_SPELLS:])


def _rests(found: tuple[float, float], busy: Sequence[tuple[float, float, int]]) -> bool:
    """Whether a look found far less than it would have at work.

    W(t) is concave: in a part of the time at least that part is dirtied.
    """
    seconds, dirtied = found
    least = max((many * min(1.0, seconds / length) for length, many, _ in busy), default=0.0)
    return dirtied * _UNEVEN < least


def _with(
    busy: tuple[tuple[float, float, int], ...], found: tuple[float, float]
) -> tuple[tuple[float, float, int], ...]:
    seconds, dirtied = found
    for i, (length, mean, count) in enumerate(busy):
        if length / _SAME_LENGTH < seconds < length * _SAME_LENGTH:
            n = count + 1 if dirtied < _UNEVEN * mean else 1
            weight = 1 / min(n, 10)
            now = (
                length + (seconds - length) * weight,
                mean + (dirtied - mean) * weight,
                n,
            )
            return (*busy[:i], now, *busy[i + 1 :])
    return (*busy, (seconds, dirtied, 1))


def _joined(spells: Sequence[_Spell]) -> tuple[_Spell, ...]:
    """Return spells that follow one another in turns: two of one kind are one."""
    found: list[_Spell] = []
    for each in spells:
        if found and found[-1].busy is each.busy:
            last = found[-1]
            most = max(last.look, each.look, key=lambda look: look[1] / look[0])
            found[-1] = _Spell(
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
