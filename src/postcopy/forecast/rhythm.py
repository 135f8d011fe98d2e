"""When a guest writes and when it rests, as looks at it during its migration show.

From how long its spells of work and of rest were follows how long the present one may go on, and
what a pass ahead will meet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from statistics import median

from postcopy.forecast.curve import Observation
from postcopy.forecast.future import Future
from postcopy.forecast.spells import NOTHING, UNEVEN, Spell, add, rests
from postcopy.migration.decision import History

__all__ = ["Rhythm", "observed", "rhythm_of"]

# Spells that are not even so many looks long may as well be chance.
_LEAST_LOOKS = 2.0
# Nobody knows how long a spell goes on that has outlasted all before it: as likely as not for as
# long again. So many times what it has lasted, each as likely; the last may never end.
_OUTLASTING = (1 / 9, 3 / 7, 1.0, 7 / 3, inf)
# One whose beginning was not seen was so many times as long, each as likely.
_CUT_OFF = (10 / 9, 10 / 7, 2.0, 10 / 3)
# Spells of one guest differ by so much.
_SPREAD = 0.1
# Work since the last look has to show what it would in so long, at the least.
_SHORTEST_WORK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A guest that works and rests in turns.

    :param idle: how fast it writes while it rests, as a share of its pace at work.
    """

    spells: tuple[Spell, ...]
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
        alike = _seen_whole(spells, last.busy)
        others = _seen_whole(spells, not last.busy) or _cut_off(spells, not last.busy)
        expected = _some(alike) or _cut_off(spells, last.busy)
        # A look that is partly of either kind counts as work: rests may be longer than they seem,
        # and work shorter, by as much as a look at either end.
        sign = -1 if last.busy else 1
        left = [
            (each - gone + sign * blur, blur)
            for each in expected
            for blur in (0.0, last.look[0])
            if each * (1 + _SPREAD) + sign * blur > gone
        ] or [(gone * factor, 0.0) for factor in _OUTLASTING]
        other = median(others) if others else gone
        found: list[tuple[Future, float]] = []
        for seconds, blur in left:
            # The turn under way tells of later ones like it: it alone, if no other was seen whole.
            same = median([*alike, gone + seconds - sign * blur])
            work, rest = (same, other) if last.busy else (other, same)
            future = Future(
                last.busy,
                until_change=max(seconds, _SPREAD * same / 2),
                work_seconds=max(work - blur, _SPREAD * work),
                rest_seconds=rest + blur,
                idle=self.idle,
            )
            found.append((future, 1 / len(left)))
        return found

    def resting(self, since: float) -> bool | None:
        """Return whether it rests now; None if it has worked all the time since a moment."""
        if not self.spells[-1].busy:
            return True
        return None if self.spells[-1].begin <= since else False


def _seen_whole(spells: Sequence[Spell], busy: bool) -> list[float]:
    """Return how long turns of a kind were, the first and the one under way aside."""
    return [each.seconds for each in spells[1:-1] if each.busy is busy]


def _cut_off(spells: Sequence[Spell], busy: bool) -> list[float]:
    """Return how long the first turn may have been, if it is of that kind and over.

    When it began was not seen: it was longer.
    """
    first = spells[0]
    known = first.busy is busy and len(spells) > 1
    return [first.seconds * factor for factor in _CUT_OFF] if known else []


def _some(values: Sequence[float]) -> list[float]:
    """Return a few that stand for all."""
    ranked = sorted(values)
    return ranked if len(ranked) < 3 else [ranked[len(ranked) // 4], ranked[-1 - len(ranked) // 4]]


def rhythm_of(history: History, at: float | None = None) -> Rhythm | None:
    """Return the turns that a guest takes; None for one that was not seen to change.

    :param at: as of the last pass's end, which this is; of the latest look if None.
    """
    seen = history.fold(add, NOTHING)
    spells = [each for each in seen.spells if at is None or each.begin < at]
    if len(spells) < 2:
        return None
    inner = spells[1:-1]
    if inner and sum(each.looks for each in inner) < _LEAST_LOOKS * len(inner):
        return None  # what looks as long as its turns show of a guest is chance
    if at is not None:
        spells = _with_work_since(spells, seen.busy, history)
    pace = max(dirtied / seconds for seconds, dirtied, _ in seen.busy)
    # A look may have caught a bit of work at the end of a rest.
    resting = sorted(each.least for each in spells if not each.busy)
    idle = min(1 / UNEVEN, resting[(len(resting) - 1) // 2] / pace)
    return Rhythm(tuple(spells), idle)


def _with_work_since(
    spells: list[Spell], busy: Sequence[tuple[float, float, int]], history: History
) -> list[Spell]:
    """Return spells, and the work that shows in the last pass and in no look: it came after those.

    Else the guest is taken to rest still, and to have dirtied nothing, by who has just been told
    that all of it is dirty.
    """
    last, rest = history.passes[-1], spells[-1]
    began = history.passes[-2].at if len(history.passes) > 1 else history.started_at
    if rest.busy or began is None or not rest.begin <= began < rest.end < last.at:
        return spells
    gone = last.at - rest.end
    dirtied = last.remaining_bytes - history.bandwidth * history.downtime_limit
    if rests((max(gone, _SHORTEST_WORK_SECONDS), dirtied), busy):
        return spells
    return [*spells, Spell(True, rest.end, last.at, (gone, dirtied), dirtied / gone)]


def observed(history: History) -> list[Observation]:
    """Return what looks found of the guest at work, before its migration and during it.

    A look before that found it at rest is one of those that say nothing of that.
    """
    seen = history.fold(add, NOTHING)
    before = [each for each in history.looks if not rests(each, seen.busy)]
    return [
        *(Observation(seconds, dirtied) for seconds, dirtied in before),
        *(Observation(seconds, dirtied) for seconds, dirtied, _ in sorted(seen.busy)),
    ]
