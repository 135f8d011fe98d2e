"""What to expect of a migration, and which method to choose. Start with `make_plan`.

`methods` are the ways that are compared, `advice` chooses one and says why, `foresight` makes a
forecast for a migration under way, and `score` says how good one was.
"""

from postcopy.plan.advice import Plan, make_plan
from postcopy.plan.foresight import Forecaster
from postcopy.plan.methods import methods_for
from postcopy.plan.score import Forecast, Score, score

__all__ = ["make_plan", "Plan", "methods_for", "Forecaster", "Forecast", "Score", "score"]
