"""The physics: what a guest dirties, what a link carries, what comes of it. Start with `simulate`.

`curve` is W(t), `model` a guest and a link, `simulator` moves the one over the other under any
policy, `together` moves many at once over links that they share. `refit` learns the curve from the
passes of a migration under way.
"""

from postcopy.forecast.curve import Curve, HotSet, Observation
from postcopy.forecast.model import Bursts, Guest, Harm, Link
from postcopy.forecast.simulator import End, Result, Scenario, simulate
from postcopy.forecast.together import Move, Moved, Together, simulate_together

__all__ = [
    "simulate",
    "simulate_together",
    "Scenario",
    "Result",
    "End",
    "Move",
    "Moved",
    "Together",
    "Guest",
    "Link",
    "Harm",
    "Curve",
    "HotSet",
    "Bursts",
    "Observation",
]
