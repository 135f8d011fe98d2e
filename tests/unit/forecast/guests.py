"""Guests and links to try things on."""

from dataclasses import dataclass

from postcopy.forecast.curve import Curve, HotSet
from postcopy.forecast.model import Bursts, Guest, Link
from postcopy.forecast.simulator import Scenario
from postcopy.migration import Action, Decision, History

MIB = 1 << 20
GIB = 1 << 30
GBIT = 1e9 / 8


def guest(
    memory: float, content: float, hot: float, rate: float, bursts: Bursts | None = None
) -> Guest:
    """One hot set, written at random at `rate` bytes a second."""
    return Guest(
        memory_bytes=memory,
        content_bytes=content,
        dirty=Curve((HotSet(hot, rate),)),
        bursts=bursts,
    )


def large(
    hot_gib: float, rate: float, bandwidth: float = 10 * GBIT, bursts: Bursts | None = None
) -> Scenario:
    """A guest of 64 GiB, 48 of them in use."""
    made = guest(64 * GIB, 48 * GIB, hot_gib * GIB, rate, bursts)
    return Scenario(guest=made, link=Link(bandwidth=bandwidth))


@dataclass(frozen=True)
class At:
    """Switch at one moment."""

    seconds: float
    name: str = "at"
    uses_postcopy: bool = True

    def decide(self, history: History) -> Decision:
        latest = history.latest
        due = latest is not None and latest.at >= self.seconds - 1e-9
        return Decision(Action.SWITCH if due else Action.CONTINUE, "the clock says so")
