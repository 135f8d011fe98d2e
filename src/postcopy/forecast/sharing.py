"""Links that several migrations cross, and what each of them gets.

Shares are max-min fair, as those of TCP connections alike are in the long run: nobody can get more
but from one who has less or as much (Bertsekas and Gallager, "Data Networks", 6.5.2).
"""

import bisect
import math
from collections.abc import Iterable, Mapping

from postcopy.forecast.model import Link

__all__ = ["Lane", "Share", "share_out"]


class Lane:
    """Guests that cross the same links, and alone would get the same: all have the same share.

    :param over: the names of the shared links.
    :param own: what each of them gets at most.
    :param start: since when the moments of `own` count.
    """

    def __init__(self, over: tuple[str, ...], own: Link, start: float) -> None:
        self.over = over
        self._own, self._start = own, start
        self.members = 0
        self.rate = 0.0
        """What each of them gets now, in bytes a second."""
        # Since when it was how much, and what each had got by then.
        self._since, self._rates, self._carried = [0.0], [0.0], [0.0]

    def limit(self, now: float) -> float:
        """Return what each gets at most, in bytes a second."""
        return self._own.at(now - self._start)

    @property
    def since(self) -> float:
        """Since when the share has been what it is."""
        return self._since[-1]

    def change(self, now: float, rate: float) -> bool:
        """Give each so much from now on; return whether that is anything new."""
        if rate == self.rate:
            return False
        if self.since < now:
            carried = self.carried(now)
            self._since.append(now)
            self._rates.append(rate)
            self._carried.append(carried)
        self._rates[-1] = self.rate = rate
        return True

    def carried(self, at: float) -> float:
        """Return the bytes that one who has always been here had got by a moment."""
        i = bisect.bisect_right(self._since, at) - 1
        return self._carried[i] + self._rates[i] * (at - self._since[i])

    def reached(self, carried_bytes: float) -> float:
        """Return when that comes to so much, if the share stays what it is."""
        if self.rate <= 0:
            return math.inf
        return self.since + (carried_bytes - self._carried[-1]) / self.rate


class Share:
    """One guest's part of a lane: its `Way`, in seconds since it started."""

    def __init__(self, lane: Lane, start: float) -> None:
        self.lane, self.start = lane, start

    def at(self, seconds: float) -> float:
        """Return the bandwidth now; what it will be, nobody knows."""
        return self.lane.rate

    def sent(self, begin: float, end: float) -> float:
        """Return the bytes that went through between two moments."""
        if self.even_since(begin):
            return self.lane.rate * (end - begin)
        return self.lane.carried(self.start + end) - self.lane.carried(self.start + begin)

    def arrival(self, begin: float, size: float) -> float:
        """Return when bytes sent from `begin` on have gone, if the share stays what it is."""
        if not self.even_since(begin):
            carried = self.lane.carried(self.start + begin) + size
            return self.lane.reached(carried) - self.start
        return begin + size / self.lane.rate if self.lane.rate > 0 else math.inf

    def even_since(self, begin: float) -> bool:
        """Return whether the share has stayed what it is."""
        return self.start + begin >= self.lane.since


def share_out(lanes: Iterable[Lane], links: Mapping[str, Link], now: float) -> list[Lane]:
    """Give all guests their shares of the links, and return the lanes whose share changed.

    All shares grow at one pace; whose way is full keeps what it has, and the others go on.
    """
    growing = {lane: lane.limit(now) for lane in lanes if lane.members}
    room = {name: link.at(now) for name, link in links.items()}
    users = dict.fromkeys(links, 0)
    for lane in growing:
        for name in lane.over:
            users[name] += lane.members
    changed = []
    while growing:
        level, full = min(
            ((room[name] / count, name) for name, count in users.items() if count),
            default=(math.inf, ""),
        )
        own = min(growing.values())
        if own <= level:
            level = own
            done = [lane for lane, limit in growing.items() if limit <= level]
        else:
            level = max(0.0, level)  # what is left of a link may come out just below nothing
            done = [lane for lane in growing if full in lane.over]
        for lane in done:
            del growing[lane]
            for name in lane.over:
                room[name] -= lane.members * level
                users[name] -= lane.members
            if lane.change(now, level):
                changed.append(lane)
    return changed
