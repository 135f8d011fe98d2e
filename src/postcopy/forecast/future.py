"""How a guest that works and rests in turns may go on."""

from dataclasses import dataclass
from math import inf

__all__ = ["Future"]


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
        """For which part of its time it writes, in the long run: that of a stop which is lost."""
        turn = self.work_seconds + self.rest_seconds
        if turn == inf:  # the turn under way never ends
            return 1.0 if self.busy else self.idle
        return (self.work_seconds + self.idle * self.rest_seconds) / turn

    @property
    def rests_end(self) -> tuple[float, ...]:
        """When rests end, in seconds from now: the one under way, if there is, and the next."""
        if self.until_change == inf:
            return ()
        if self.busy:
            return (self.until_change + self.rest_seconds,)
        return self.until_change, self.until_change + self.work_seconds + self.rest_seconds
