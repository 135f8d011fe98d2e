"""Forecasts on their way into the journal, and what became of them."""

import contextlib
import math
import time
from collections.abc import Callable, Sequence

from postcopy.errors import JournalError
from postcopy.forecast.outlook import Interval
from postcopy.migration.decision import Policy
from postcopy.migration.event import Event, Noted
from postcopy.migration.journal import Foreseen, Journal, Run
from postcopy.migration.outcome import Outcome
from postcopy.plan import Forecast, Forecaster, Plan, score
from postcopy.policy import spec_of
from postcopy.units import format_seconds

__all__ = ["Forecasts", "keep_plan", "span"]

# A plan older than this says nothing of what the guest does now.
_FRESH_SECONDS = 3600.0


def keep_plan(journal: Journal, guest: str, destination: str, plan: Plan) -> None:
    """Keep a plan, and what was seen of the guest, for the run that may come of it."""
    journal.foresee(
        guest=guest,
        destination=destination,
        at=time.time(),
        data={
            "methods": [each.to_dict() for each in plan.outlooks],
            "adaptive": spec_of(plan.policy),
            "looks": [(each.seconds, each.dirtied_bytes) for each in plan.inputs.dirtying.looks],
        },
    )


class Forecasts:
    """What is expected of one run. A journal that cannot be written costs forecasts, no more.

    :param tell: told in words what is expected.
    """

    def __init__(
        self,
        journal: Journal,
        run: Run,
        policy: Policy,
        downtime_limit: float,
        tell: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self._journal = journal
        self._run = run
        self._policy = policy
        self._downtime_limit = downtime_limit
        self._forecaster: Forecaster | None = None
        self._tell = tell
        self._told = False

    def adopt(self) -> list[tuple[float, float]]:
        """Take the latest plan for this guest, if it is fresh; return what was seen of the guest.

        What it expects of this policy and destination becomes a forecast of the run.
        """
        with contextlib.suppress(JournalError):
            since = self._run.started_at - _FRESH_SECONDS
            plans = self._journal.foreseen(self._run.guest, since)
            for plan in plans:
                forecast = _of_plan(plan, spec_of(self._policy))
                if forecast is not None and plan.destination in (self._run.destination, ""):
                    self._keep(forecast)
                    break
            if plans:
                looks = plans[0].data.get("looks", ())
                return [(seconds, dirtied) for seconds, dirtied in looks]
        return []

    def watching(
        self, observe: Callable[[Event], None], looks: Sequence[tuple[float, float]]
    ) -> Callable[[Event], None]:
        """Return an observer that also has a forecast made when the first pass has ended."""
        self._forecaster = forecaster = Forecaster(self._policy, self._downtime_limit, looks)

        def both(event: Event) -> None:
            observe(event)
            forecaster(event)
            if not self._told and (forecast := forecaster.forecast) is not None:
                self._expect(forecast)

        return both

    def rate(self, outcome: Outcome) -> None:
        """Score every forecast of the run."""
        forecast = self._forecaster.wait() if self._forecaster is not None else None
        if forecast is not None and not self._told:
            self._expect(forecast)
        with contextlib.suppress(JournalError):
            for foreseen in self._journal.forecasts(self._run.id):
                rated = score(Forecast.from_dict(foreseen.data), outcome)
                if rated is not None:
                    self._journal.rate(foreseen.id, rated.to_dict())

    def _expect(self, forecast: Forecast) -> None:
        self._told = True
        with contextlib.suppress(JournalError):
            self._keep(forecast)
        total = forecast.outlook.total_seconds
        text = f"expected: {span(total)} in all"
        if not math.isfinite(total.median):
            text = f"expected: it does not end by {self._policy.name}"
        self._tell(Noted(forecast.at, text))

    def _keep(self, forecast: Forecast) -> None:
        self._journal.foresee(
            guest=self._run.guest,
            destination=self._run.destination,
            at=forecast.at,
            data=forecast.to_dict(),
            run_id=self._run.id,
        )


def span(interval: Interval, tell: Callable[[float], str] = format_seconds) -> str:
    """Return an interval in words: the median, and between what it lies."""

    def one(value: float) -> str:
        return tell(value) if math.isfinite(value) else "never"

    if interval.low == interval.high or not math.isfinite(interval.low):
        return one(interval.median)
    return f"{one(interval.median)} ({one(interval.low)} to {one(interval.high)})"


def _of_plan(foreseen: Foreseen, policy: str) -> Forecast | None:
    """Return what a plan expects of a policy, if it was reckoned with the same parameters."""
    reckoned = foreseen.data.get("adaptive")
    for each in foreseen.data.get("methods", ()):
        method = each["method"]
        if policy == (reckoned if method == "adaptive" else method):
            return Forecast.from_dict({"basis": "plan", "at": foreseen.at, "outlook": each})
    return None
