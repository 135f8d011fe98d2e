"""What peers' rules have in common: they look every now and then, and remember what they saw."""

from dataclasses import dataclass, field
from typing import Self

from postcopy.migration.decision import Action, Decision, History
from postcopy.units import format_seconds

__all__ = ["GIB", "NOT_YET", "Poll", "limit_downtime", "wait"]

GIB = 1 << 30

# A sample that comes this much too early still counts as taken at its time, in seconds.
_EARLY_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Poll:
    """The moments at which a peer polls, counted from the first sample.

    Samples come when they come; the first one at or after each moment is what the peer sees.
    """

    began: float | None = field(default=None)
    number: int = -1

    def next(self, at: float, interval: float) -> Self | None:
        """Return the poll that a sample taken at `at` is, or None if none is due then."""
        began = at if self.began is None else self.began
        number = int((at - began + _EARLY_SECONDS) / interval)
        return type(self)(began, number) if number > self.number else None

    def seconds(self, at: float) -> float:
        """Return how long the peer has been polling."""
        return at - self.began if self.began is not None else 0.0


NOT_YET = Poll()
"""Before the first one."""


def wait(reason: str) -> Decision:
    """Go on."""
    return Decision(Action.CONTINUE, reason)


def limit_downtime(history: History, seconds: float, reason: str, otherwise: Decision) -> Decision:
    """Set the downtime limit, or do as `otherwise` says where that is done already."""
    if history.downtime_limit == seconds:
        return otherwise
    return Decision(Action.LIMIT_DOWNTIME, f"{reason}: {format_seconds(seconds)}", seconds)
