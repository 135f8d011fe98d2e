"""From the first pass of a run to what its forecast was worth."""

from dataclasses import replace

import pytest

from postcopy.forecast.outlook import Interval, Outlook
from postcopy.migration import Fate, Figures, Outcome, Phase, Supervisor
from postcopy.plan import Forecast, Forecaster, score
from postcopy.policy import Adaptive, Precopy, find
from postcopy.testing import FakeDriver, FakeGuest

OUTLOOK = Outlook(
    method="adaptive", ends=1.0, by_postcopy=0.9, total_seconds=Interval(8.0, 10.0, 12.0),
    downtime_seconds=Interval(0, 0, 0), longest_freeze_seconds=Interval(0, 0, 0),
    guest_seconds_lost=Interval(0, 0, 0), transferred_bytes=Interval(1e9, 1.2e9, 1.5e9),
    risk_seconds=Interval(0, 0, 0), cost=Interval(0, 0, 0),
)  # fmt: skip
MADE = Forecast(basis="plan", at=0.0, outlook=OUTLOOK)


def came(seconds: float, switched: bool = True, fate: Fate = Fate.COMPLETED) -> Outcome:
    return Outcome(
        fate=fate,
        phase=Phase.COMPLETED,
        started_at=0.0,
        ended_at=99.0,
        switched_at=5.0 if switched else None,
        figures=Figures(total_seconds=seconds, transferred_bytes=10**9),
    )


def test_a_forecast_is_compared_with_what_came() -> None:
    rated = score(MADE, came(8.0))
    assert rated is not None
    assert rated.total_error == pytest.approx(0.25)
    assert rated.bytes_error == pytest.approx(0.2)
    assert rated.total_held
    assert rated.end_right
    missed = score(MADE, came(20.0, switched=False))
    assert missed is not None
    assert not missed.total_held
    assert not missed.end_right
    assert missed.total_error == -0.5


def test_what_did_not_move_is_not_scored() -> None:
    assert score(MADE, came(8.0, fate=Fate.CANCELLED)) is None
    endless = replace(OUTLOOK, total_seconds=Interval.of([float("inf")]))
    rated = score(replace(MADE, outlook=endless), came(8.0))
    assert rated is not None
    assert rated.total_error is None
    assert not rated.total_held


@pytest.mark.parametrize("policy", ["adaptive", "after-first-pass", "precopy"])
@pytest.mark.parametrize("rate", [20e6, 1e9])
async def test_the_first_pass_tells_how_a_run_ends(policy: str, rate: float) -> None:
    rule = find(policy)
    driver = FakeDriver(FakeGuest(write_rate=rate))
    forecaster = Forecaster(rule, 0.3)
    supervisor = Supervisor(driver, rule, observe=forecaster, clock=driver.clock)
    if policy == "precopy" and rate > 1e8:
        # It never ends: stop once the forecast is there.
        supervisor = Supervisor(
            driver, Precopy(give_up_after=3), observe=forecaster, clock=driver.clock
        )
    outcome = await supervisor.run()
    forecast = forecaster.wait()
    assert forecast is not None
    assert forecast.basis == "first pass"
    if outcome.fate is Fate.CANCELLED:
        assert forecast.outlook.ends < 0.5
        return
    rated = score(Forecast.from_dict(forecast.to_dict()), outcome)
    assert rated is not None
    # The fake driver ends its passes by the textbook, not as QEMU does.
    expected = forecast.outlook.total_seconds
    assert 0.95 * expected.low <= outcome.total_seconds <= 1.05 * expected.high
    if policy == "after-first-pass":
        assert rated.total_error == pytest.approx(0, abs=0.05)
        assert rated.end_right


def test_without_a_pass_there_is_no_forecast() -> None:
    assert Forecaster(Adaptive(), 0.3).wait() is None
