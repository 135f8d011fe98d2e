"""A forecast for a migration under way, made from its first pass."""

import threading
from collections.abc import Sequence

from postcopy.forecast.curve import Observation
from postcopy.forecast.inputs import Dirtying, Inputs, Known
from postcopy.forecast.outlook import Method, outlook
from postcopy.forecast.refit import view_of, watched_from_the_start
from postcopy.migration.decision import Action, History, Policy
from postcopy.migration.event import Acted, Event, SampleTaken
from postcopy.plan.score import Forecast

__all__ = ["Forecaster", "foresee"]

# It is made while a migration goes on, between two samples.
_DRAWS = 40
_SAMPLES_A_PASS = 4
_BANDWIDTH_FACTOR, _DIRTY_FACTOR = 1.05, 1.1


class Forecaster:
    """Watches the events of a run; at the end of its first pass it reckons how the run will end.

    That is done in a thread: the next pass may end, and must be decided on, before it is.
    """

    def __init__(
        self,
        policy: Policy,
        downtime_limit: float,
        looks: Sequence[tuple[float, float]] = (),
    ) -> None:
        self._policy = policy
        self._history = History(downtime_limit, looks)
        self._forecast: Forecast | None = None
        self._thread: threading.Thread | None = None
        self._over = False

    def __call__(self, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, Acted) and event.action in (Action.SWITCH, Action.CANCEL):
            self._over = True  # before the first pass had ended: there is nothing to learn from
        if self._over or self._thread is not None or not isinstance(event, SampleTaken):
            return
        self._history.add(event.sample)
        if event.sample.pass_ended:
            self._thread = threading.Thread(target=self._reckon, name="forecast", daemon=True)
            self._thread.start()

    @property
    def forecast(self) -> Forecast | None:
        """The forecast, once there is one."""
        return self._forecast

    def wait(self) -> Forecast | None:
        """Wait for the forecast, if one is being made, and return it."""
        if self._thread is not None:
            self._thread.join()
        return self._forecast

    def _reckon(self) -> None:
        self._forecast = foresee(self._history, self._policy)


def foresee(history: History, policy: Policy) -> Forecast | None:
    """Return what is to be expected of a run whose first pass has just ended, seen from its start.

    None where that pass does not say enough.
    """
    view, first = view_of(history), history.passes[0]
    if view is None or history.memory_bytes <= 0 or first.transferred_bytes <= 0:
        return None
    if not watched_from_the_start(history):
        return None
    inputs = Inputs(
        memory_bytes=history.memory_bytes,
        # What the pass did not send, as it fits into the downtime limit, holds content too.
        content=Known(float(first.transferred_bytes) + view.tail_bytes),
        dirtying=Dirtying(
            view.curves,
            factor=_DIRTY_FACTOR,
            looks=tuple(Observation(seconds, dirtied) for seconds, dirtied in history.looks),
        ),
        bandwidth=Known(view.bandwidth, _BANDWIDTH_FACTOR),
        downtime_limit=history.downtime_limit,
        disk_bytes=history.disk_bytes,
    )
    method = Method(policy.name, policy, samples_a_pass=_SAMPLES_A_PASS)
    [expected] = outlook(inputs, [method], price=0.0, draws=_DRAWS)
    return Forecast(basis="first pass", at=first.at, outlook=expected)
