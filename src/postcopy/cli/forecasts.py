"""Forecasts on their way into the journal, and what became of them."""

import contextlib
import math
import time
from collections.abc import Callable

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
    """Keep a plan for the run that may come of it."""
    journal.foresee(
        guest=guest,
        destination=destination,
        at=time.time(),
        data={
            "methods": [each.to_dict() for each in plan.outlooks],
            "adaptive": spec_of(plan.policy),
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
        self._forecaster = Forecaster(policy, downtime_limit)
        self._tell = tell
        self._told = False

    def adopt(self) -> None:
        """Take the latest plan for this guest and destination, if it is fresh, as a forecast."""
        with contextlib.suppress(JournalError):
            since = self._run.started_at - _FRESH_SECONDS
            for foreseen in self._journal.foreseen(self._run.guest, since):
                if (
                    foreseen.destination in (self._run.destination, "")
                    and (forecast := _of_plan(foreseen, spec_of(self._policy))) is not None
                ):
                    self._keep(forecast)
                    return

    def watching(self, observe: Callable[[Event], None]) -> Callable[[Event], None]:
        """Return an observer that also has a forecast made when the first pass has ended."""

        def both(event: Event) -> None:
            observe(event)
            self._forecaster(event)
            if not self._told and (forecast := self._forecaster.forecast) is not None:
                self._expect(forecast)

        return both

    def rate(self, outcome: Outcome) -> None:
        """Score every forecast of the run."""
        forecast = self._forecaster.wait()
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
