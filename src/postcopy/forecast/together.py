"""Many guests at once: migrations that share links, each under a policy of its own.

`course` is what happens to each of them, `traffic` keeps the time, `sharing` shares out the links.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from postcopy.errors import UsageError
from postcopy.forecast.course import Course
from postcopy.forecast.leg import Steps, Way
from postcopy.forecast.model import Link
from postcopy.forecast.scenario import Result, Scenario
from postcopy.forecast.simulator import MOST_SECONDS
from postcopy.forecast.traffic import Traffic
from postcopy.migration.decision import Policy

__all__ = ["Move", "Moved", "Together", "simulate_together"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A guest that is to be moved over shared links.

    :param scenario: its `link` is what it gets at most, and has the round trip.
    :param over: the names of the links that it shares, such as its source's and its destination's.
    :param start: the second in which it begins, at the earliest.
    """

    scenario: Scenario
    policy: Policy
    over: tuple[str, ...] = ()
    start: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What came of one guest: its result in seconds since it began."""

    began_at: float
    result: Result

    @property
    def ended_at(self) -> float:
        """When it had moved, in seconds; infinite if never."""
        return self.began_at + self.result.total_seconds


@dataclass(frozen=True, slots=True)
class Together:
    """What came of all, in the order in which they were given."""

    guests: tuple[Moved, ...]

    @property
    def makespan_seconds(self) -> float:
        """When the last of them had moved; infinite if one never does."""
        return max((each.ended_at for each in self.guests), default=0.0)

    @property
    def guest_seconds_lost(self) -> float:
        """What all of them lost together, in guest-seconds."""
        return math.fsum(each.result.guest_seconds_lost for each in self.guests)

    @property
    def transferred_bytes(self) -> float:
        """What all of them sent together."""
        return math.fsum(each.result.transferred_bytes for each in self.guests)


def simulate_together(
    moves: Sequence[Move],
    links: Mapping[str, Link],
    *,
    at_once: int | None = None,
    poll_seconds: float | None = None,
    samples_a_pass: int = 8,
    most_seconds: float = MOST_SECONDS,
) -> Together:
    """Move guests over links that they share, as when a host is drained.

    Each link's bandwidth is shared max-min fairly among those who are sending over it, and nobody
    gets more than the link of its own scenario. One who stands still (it sets up, or hands over its
    devices) leaves its share to the others. Who has the links to itself, and they are no narrower
    than its own, comes to what `simulate` says. How long it takes to simulate grows with the number
    of different ways, not of guests on one way.

    :param links: the shared links by name; their changes are in seconds since the whole began.
        Only their bandwidth counts.
    :param at_once: no more than so many move at a time, in the order of their starts; all if None.
    :param poll_seconds: as in `simulate`; so are the others. Seconds count from a guest's own
        start, which is when it is let in.
    :raises UsageError: when a move is over a link that there is not, or none may move at a time.
    """
    for name in itertools.chain.from_iterable(move.over for move in moves):
        if name not in links:
            raise UsageError(f"there is no link {name!r}", hint=f"there are: {', '.join(links)}")
    if at_once is not None and at_once < 1:
        raise UsageError(f"{at_once} guests at once is none", hint="at least 1")
    traffic = Traffic(links)
    waiting = iter(sorted(range(len(moves)), key=lambda i: moves[i].start))
    found: dict[int, Moved] = {}
    began: dict[int, float] = {}

    def let_in(number: int) -> None:
        move = moves[number]
        began[number] = max(traffic.now, move.start)

        def course(way: Way) -> Steps:
            return Course(
                move.scenario,
                move.policy,
                way,
                poll_seconds=poll_seconds,
                samples_a_pass=samples_a_pass,
                most_seconds=most_seconds,
            ).steps()

        traffic.begin(number, move.over, move.scenario.link, began[number], course)

    for number in itertools.islice(waiting, at_once):
        let_in(number)
    while len(found) < len(moves):
        for number, result in traffic.step():
            found[number] = Moved(began_at=began[number], result=result)
            for following in itertools.islice(waiting, 1):
                let_in(following)
    return Together(tuple(found[number] for number in range(len(moves))))
