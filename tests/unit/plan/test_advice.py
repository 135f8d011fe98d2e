import json
import math

import pytest

from postcopy.forecast.curve import Curve, HotSet
from postcopy.forecast.inputs import Dirtying, Inputs, Known
from postcopy.forecast.model import Bursts
from postcopy.forecast.outlook import Interval, Method, Outlook, outlook
from postcopy.plan import Plan, make_plan
from postcopy.plan.methods import Offers
from postcopy.policy import Adaptive, Precopy

from ..forecast.guests import GBIT, GIB


def inputs(hot_gib: float, rate: float, gbit: float = 10, bursts: Bursts | None = None) -> Inputs:
    return Inputs(
        memory_bytes=64 * GIB,
        content=Known(48.0 * GIB, 1.05),
        dirtying=Dirtying(((Curve((HotSet(hot_gib * GIB, rate),)), 1.0),), 1.1, bursts),
        bandwidth=Known(gbit * GBIT, 1.05),
    )


def plan(made: Inputs, **more: object) -> Plan:
    return make_plan(made, draws=40, **more)  # type: ignore[arg-type]


def test_a_busy_guest_is_to_be_moved_by_the_adaptive_policy() -> None:
    made = plan(inputs(4, 16e9))
    assert made.advice == "adaptive"
    assert "precopy would end in 0%" in made.reason
    assert made.options == "--policy adaptive"
    precopy = made.of("precopy")
    assert precopy is not None
    assert precopy.ends == 0
    assert math.isinf(precopy.total_seconds.median)


def test_a_calm_guest_is_spared_postcopy() -> None:
    made = plan(inputs(4, 0.2e9))
    assert made.advice == "precopy"
    assert "never has the guest on two hosts" in made.reason


def test_a_link_faster_than_one_connection_wants_several() -> None:
    made = plan(inputs(20, 3e9, gbit=400))
    assert made.advice == "precopy with multifd"
    assert made.options == "--policy precopy --parallel"
    assert plan(inputs(20, 3e9, gbit=10)).of("precopy with multifd") is None


def test_what_cannot_be_done_is_not_offered() -> None:
    made = plan(inputs(4, 16e9), offers=Offers(postcopy=False, multifd=False))
    assert {each.method for each in made.outlooks} == {"precopy", "precopy with auto-converge"}
    assert "ends in" in made.reason or "likeliest" in made.reason


def test_bounds_and_rests_go_into_the_policy_that_is_advised() -> None:
    bursts = Bursts(0.5, 40.0)
    made = plan(inputs(4, 16e9, bursts=bursts), adaptive=Adaptive(price=0.2))
    assert (made.policy.rest, made.policy.lull, made.policy.price) == (0.5, 20.0, 0.2)
    if made.advice == "adaptive":
        assert made.options == "--policy adaptive:price=0.2,rest=0.5,lull=20.0"


def test_the_higher_the_price_the_sooner_it_ends() -> None:
    patient, hurried = (plan(inputs(8, 1.1e9), adaptive=Adaptive(price=p)) for p in (0.01, 3.0))
    slow, fast = patient.of("adaptive"), hurried.of("adaptive")
    assert slow is not None
    assert fast is not None
    assert fast.total_seconds.median < slow.total_seconds.median


def test_a_plan_is_the_same_each_time_and_plain_data() -> None:
    first, second = plan(inputs(4, 1e9)), plan(inputs(4, 1e9))
    assert first.outlooks == second.outlooks
    data = json.loads(json.dumps(first.to_dict(), allow_nan=False))
    assert data["methods"][0]["method"] == "adaptive"
    assert Outlook.from_dict(first.outlooks[-1].to_dict()) == first.outlooks[-1]


def test_less_known_is_a_wider_interval() -> None:
    sure = inputs(4, 0.2e9)
    vague = Inputs(
        memory_bytes=sure.memory_bytes,
        content=Known(sure.content.value, 1.5),
        dirtying=sure.dirtying,
        bandwidth=Known(sure.bandwidth.value, 1.5),
    )
    method = [Method("precopy", Precopy())]
    [narrow], [wide] = (outlook(each, method, price=0.1) for each in (sure, vague))
    assert _width(wide.total_seconds) > 2 * _width(narrow.total_seconds)


def _width(interval: Interval) -> float:
    return interval.high - interval.low


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 2.0, 3.0], Interval(1.1, 2.0, 2.9)),
        ([5.0], Interval(5.0, 5.0, 5.0)),
        ([1.0, math.inf, math.inf], Interval(math.inf, math.inf, math.inf)),
    ],
)
def test_intervals(values: list[float], expected: Interval) -> None:
    made = Interval.of(values)
    assert made.low == pytest.approx(expected.low)
    assert made.median == pytest.approx(expected.median)
    assert made.high == pytest.approx(expected.high)


def test_a_guest_that_rests_is_forecast_as_it_will_be_looked_at() -> None:
    """Its passes alone do not show that a rest has begun."""
    restless = inputs(8, 16e9, gbit=10, bursts=Bursts(0.5, 16.0))
    seen, unseen = (
        plan(restless, offers=Offers(looks=looks)).of("adaptive") for looks in (True, False)
    )
    assert seen is not None
    assert unseen is not None
    assert seen.guest_seconds_lost.median < 0.8 * unseen.guest_seconds_lost.median
