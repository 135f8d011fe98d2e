"""Guests under way over shared links, event by event.

A guest is only looked at when its bytes have gone, when its policy is to be asked, or when a link
changes under passes that were taken to be all alike.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Hashable, Iterator, Mapping

from postcopy.forecast.leg import Steps, Way
from postcopy.forecast.model import Link
from postcopy.forecast.scenario import Result
from postcopy.forecast.sharing import Lane, Share, share_out

__all__ = ["Traffic"]

Ended = tuple[int, Result]
"""Which guest has come to an end, and how."""


class _Guest:
    def __init__(self, number: int, share: Share, steps: Steps) -> None:
        self.number, self.share, self.steps = number, share, steps
        self.leg = next(steps)
        self.turn = 0
        """Counts its legs: what was planned for an earlier one no longer holds."""
        self.sends: tuple[float, float] | None = None
        """What it sends in one go, which may take several legs: since when, and how much."""
        self.stretch = 0
        """Counts that."""
        self.sent = False
        """Whether it has all gone."""

    @property
    def arrival(self) -> float:
        """When that will be, in seconds since the guest's start."""
        return self.share.arrival(self.leg.begin, self.leg.size_bytes)


Due = tuple[_Guest, float, bool]
"""A guest whose leg has ended, when that was since its start, and whether all it sent has gone."""


class Traffic:
    """The links and who is on them.

    :param links: their changes are in seconds since the whole began.
    """

    def __init__(self, links: Mapping[str, Link]) -> None:
        self._links = links
        self.now = 0.0
        self._guests: set[_Guest] = set()
        self._lanes: dict[Hashable, Lane] = {}
        # Those on which somebody sends: a set in a fixed order, so that runs are alike.
        self._busy: dict[Lane, None] = {}
        self._order = itertools.count()
        # When something is due for a guest in one of its turns, and whether that is because all it
        # sends has gone; without a guest, a link changes.
        self._due: list[tuple[float, int, _Guest | None, int, bool]] = []
        # By lane: what each must have carried for a guest to have sent what it sends.
        self._sending: dict[Lane, list[tuple[float, int, _Guest, int]]] = {}
        # Who goes through passes that are alike only while its share stays what it is.
        self._alike: dict[Lane, set[_Guest]] = {}
        self._stale = False
        for link in links.values():
            self._plan_changes(link, 0.0)

    def begin(
        self,
        number: int,
        over: tuple[str, ...],
        own: Link,
        start: float,
        course: Callable[[Way], Steps],
    ) -> None:
        """Let a guest start.

        :param number: what `step` calls it.
        :param over: the links that it crosses.
        :param own: what it gets at most.
        :param start: when, in seconds since the whole began; not before `now`.
        """
        # Changes of its own link count from its own start.
        key = (over, own.bandwidth, own.changes, start if own.changes else 0.0)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(over, own, start)
            self._sending[lane], self._alike[lane] = [], set()
            self._plan_changes(own, start)
        share = Share(lane, start)
        guest = _Guest(number, share, course(share))
        self._guests.add(guest)
        self._plan(guest)

    def step(self) -> list[Ended]:
        """Go on to the next event, and return who has ended with it.

        Where nothing will ever move again, all end.
        """
        following = self._next()
        if math.isinf(following):
            return self._strand()
        self.now = max(self.now, following)
        due = [*self._all_sent(), *self._moments()]
        # Who begins to send at this moment counts before anybody looks how much there is for each.
        for guest, _, _ in due:
            if guest.leg.idle:
                self._join(guest.share.lane)
        due += self._share_out()
        ended: list[Ended] = []
        while due:
            for guest, moment, done in due:
                ended += self._resume(guest, moment, done)
            due = self._share_out()
        return ended

    def _next(self) -> float:
        """Return when something happens next."""
        while self._due and self._is_past(self._due[0]):
            heapq.heappop(self._due)
        following = self._due[0][0] if self._due else math.inf
        for lane in self._busy:
            sending = self._sending[lane]
            while sending and sending[0][3] != sending[0][2].stretch:
                heapq.heappop(sending)
            if sending:
                guest = sending[0][2]
                following = min(following, guest.share.start + guest.arrival)
        return following

    @staticmethod
    def _is_past(entry: tuple[float, int, _Guest | None, int, bool]) -> bool:
        return entry[2] is not None and entry[2].turn != entry[3]

    def _all_sent(self) -> Iterator[Due]:
        """Take out those whose bytes have gone by now, and may count as gone."""
        for lane in self._busy:
            sending = self._sending[lane]
            while sending:
                _, _, guest, stretch = sending[0]
                if stretch == guest.stretch:
                    arrival = guest.arrival
                    if guest.share.start + arrival > self.now:
                        break
                    guest.sent = True
                    if guest.share.start + guest.leg.earliest > self.now:
                        self._plan_at(guest, guest.leg.earliest, done=True)
                    else:
                        guest.turn += 1
                        yield guest, max(arrival, guest.leg.earliest), True
                heapq.heappop(sending)

    def _moments(self) -> Iterator[Due]:
        """Take out those for whom it is time."""
        while self._due and self._due[0][0] <= self.now:
            _, _, guest, turn, done = heapq.heappop(self._due)
            if guest is None:
                self._stale = True
            elif guest.turn == turn:
                guest.turn += 1
                self._alike[guest.share.lane].discard(guest)
                yield guest, guest.leg.earliest if done else guest.leg.moment, done

    def _share_out(self) -> list[Due]:
        """Give everybody a share, and return those to whom it matters that theirs changed."""
        if not self._stale:
            return []
        self._stale = False
        woken = []
        for lane in share_out(self._busy, self._links, self.now):
            for guest in sorted(self._alike[lane], key=lambda each: each.number):
                guest.turn += 1
                woken.append((guest, max(guest.leg.begin, self.now - guest.share.start), False))
            self._alike[lane].clear()
        return woken

    def _resume(self, guest: _Guest, moment: float, done: bool) -> list[Ended]:
        """Tell a guest that its leg has ended, and plan its next one."""
        try:
            guest.leg = guest.steps.send((moment, done))
        except StopIteration as stop:
            self._guests.discard(guest)
            guest.stretch += 1  # it may have been called off with something still to be sent
            self._leave(guest.share.lane)
            return [(guest.number, stop.value)]
        if guest.leg.idle:
            self._leave(guest.share.lane)
        self._plan(guest)
        return []

    def _join(self, lane: Lane) -> None:
        lane.members += 1
        self._busy[lane] = None
        self._stale = True

    def _leave(self, lane: Lane) -> None:
        lane.members -= 1
        if not lane.members:
            del self._busy[lane]
        self._stale = True

    def _plan(self, guest: _Guest) -> None:
        leg, lane = guest.leg, guest.share.lane
        if leg.moment < math.inf:
            self._plan_at(guest, leg.moment, done=False)
        if leg.alike:
            self._alike[lane].add(guest)
        sends = (leg.begin, leg.size_bytes)
        if sends != guest.sends:
            guest.sends, guest.sent = sends, False
            guest.stretch += 1
            if not leg.idle and leg.size_bytes < math.inf:
                carried = lane.carried(guest.share.start + leg.begin) + leg.size_bytes
                entry = (carried, next(self._order), guest, guest.stretch)
                heapq.heappush(self._sending[lane], entry)
        elif guest.sent:
            self._plan_at(guest, leg.earliest, done=True)

    def _plan_at(self, guest: _Guest, moment: float, done: bool) -> None:
        entry = (guest.share.start + moment, next(self._order), guest, guest.turn, done)
        heapq.heappush(self._due, entry)

    def _plan_changes(self, link: Link, start: float) -> None:
        for since, _ in link.changes:
            heapq.heappush(self._due, (start + since, next(self._order), None, 0, False))

    def _strand(self) -> list[Ended]:
        """Let those end for whom nothing will ever come again."""
        ended: list[Ended] = []
        for guest in sorted(self._guests, key=lambda each: each.number):
            if not guest.leg.idle:
                self._leave(guest.share.lane)
            try:
                while True:
                    guest.steps.send((math.inf, True))
            except StopIteration as stop:
                ended.append((guest.number, stop.value))
        self._guests.clear()
        return ended
