import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.forecast.curve import Curve, HotSet, Observation
from postcopy.forecast.shapes import explain

MB = 1e6


def test_random_writes_fill_a_set_slower_and_slower() -> None:
    hot = HotSet(100 * MB, 50 * MB)
    assert hot.dirtied(2.0) == pytest.approx(100 * MB * (1 - math.exp(-1)))
    assert hot.dirtied(1e9) == pytest.approx(100 * MB)
    assert HotSet(100 * MB, 50 * MB, sequential=True).dirtied(1.5) == 75 * MB
    assert HotSet(0, 5).dirtied(1.0) == 0


@given(st.floats(1e-3, 1e5), st.floats(1.0, 1e12), st.floats(1.0, 20.0), st.floats(1e-3, 1e4))
def test_all_curves_go_through_what_was_seen_and_not_past_the_memory(
    seconds: float, dirtied: float, room: float, later: float
) -> None:
    most = dirtied * room
    for curve, _ in explain(Observation(seconds, dirtied), [], most):
        assert curve(seconds) == pytest.approx(dirtied, rel=1e-3)
        assert 0 <= curve(later) <= most * 1.001
        assert curve(later) <= curve(later * 2) * 1.000001


def test_two_looks_tell_a_working_set_from_ever_new_pages() -> None:
    hot = Curve((HotSet(100 * MB, 1000 * MB),))
    sweep = Curve((HotSet(50_000 * MB, 20 * MB, sequential=True),))
    for truth in (hot, sweep):
        before, anchor = (Observation(t, truth(t)) for t in (5.0, 1.0))
        curves = explain(anchor, [before], 1e12)
        assert sum(weight for _, weight in curves) == pytest.approx(1)
        expected = sum(weight * curve(0.5) for curve, weight in curves)
        assert expected == pytest.approx(truth(0.5), rel=0.2)


def test_a_sweep_is_known_by_its_straight_line_also_where_memory_bounds_what_is_random() -> None:
    sweep = HotSet(86e9, 2.4e9, sequential=True)
    seen = [Observation(t, sweep.dirtied(t)) for t in (0.25, 1.0, 30.0)]
    anchor = Observation(35.0, sweep.dirtied(35.0))
    for seconds in (10.0, 20.0):
        curves = explain(anchor, seen, 100e9)
        expected = sum(weight * curve(seconds) for curve, weight in curves)
        assert expected == pytest.approx(sweep.dirtied(seconds), rel=0.05)
