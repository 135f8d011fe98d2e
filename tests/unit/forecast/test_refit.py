import pytest

from postcopy.forecast.refit import time_left, view_of
from postcopy.migration import History, Phase, Sample

from ..policy.test_policies import history


def test_before_the_first_pass_has_ended_time_left_is_that_of_the_pass() -> None:
    made = History(0.3)
    assert time_left(made, may_switch=True) is None
    made.add(Sample(at=0, phase=Phase.PRECOPY, remaining_bytes=500_000_000, bandwidth=100e6))
    assert time_left(made, may_switch=True) == 5.0
    assert view_of(made) is None


def test_a_guest_that_converges_has_its_passes_ahead_of_it() -> None:
    # 200 MB in 5 s, 70 MB in 2 s: 0.7 s for those, and a stop for the 25 MB dirtied meanwhile.
    left = time_left(history(200_000_000, 70_000_000), may_switch=True)
    assert left == pytest.approx(0.95, abs=0.1)


def test_one_that_does_not_ends_by_postcopy_or_not_at_all() -> None:
    stuck = history(90_000_000, 90_000_000, 90_000_000)
    assert time_left(stuck, may_switch=True) == pytest.approx(0.9)
    assert time_left(stuck, may_switch=False) is None


def test_in_postcopy_it_is_what_remains() -> None:
    made = history(90_000_000, 90_000_000)
    made.add(Sample(at=9, phase=Phase.POSTCOPY, remaining_bytes=59_000_000, bandwidth=118e6))
    assert time_left(made, may_switch=True) == 0.5
    made.add(Sample(at=9, phase=Phase.COMPLETED))
    assert time_left(made, may_switch=True) is None


def test_uneven_passes_are_known_as_such() -> None:
    even = view_of(history(90_000_000, 88_000_000, 91_000_000, 90_000_000))
    uneven = view_of(history(90_000_000, 88_000_000, 9_000_000, 91_000_000, 8_000_000, 90_000_000))
    assert even is not None
    assert even.luck == (1.0,)
    assert uneven is not None
    assert len(uneven.luck) == 5
    assert min(uneven.luck) < 0.3
