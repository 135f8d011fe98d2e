from itertools import pairwise

import pytest

from postcopy.forecast import Curve, HotSet, Link, Scenario, simulate
from postcopy.forecast.model import Guest
from postcopy.forecast.refit import time_left, view_of
from postcopy.forecast.view import View
from postcopy.migration import Action, Decision, History, Phase, Sample

from ..policy.test_policies import history
from .guests import GIB


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


class Taught:
    """Pre-copy that has a low limit, and looks ahead at each pass's end."""

    name, uses_postcopy = "taught", False

    def __init__(self) -> None:
        self.views: list[tuple[float, View]] = []

    def decide(self, history: History) -> Decision:
        if not history.passes:
            return Decision(Action.LIMIT_DOWNTIME, "a low one", 0.03)
        if history.latest is not None and history.latest.pass_ended:
            view = view_of(history, 0.3)
            assert view is not None
            self.views.append((history.latest.at, view))
        return Decision(Action.CONTINUE, "")


def views_of(hot: HotSet) -> list[tuple[float, View]]:
    """What is thought of a guest on the way, at the end of each pass."""
    guest = Guest(memory_bytes=64 * GIB, content_bytes=48 * GIB, dirty=Curve((hot,)))
    taught = Taught()
    simulate(Scenario(guest=guest, link=Link(bandwidth=6e9)), taught)
    return taught.views


def test_what_a_pass_leaves_unsent_is_not_taken_for_what_the_guest_dirtied() -> None:
    """Passes come ever closer to what the limit leaves unsent: to expect more would be in vain."""
    views = views_of(HotSet(4 * GIB, 6e9 * 0.95))
    for (_, before), (_, after) in pairwise(views[2:20]):
        expected = sum(w * before.next_pass(c, before.left_bytes)[1] for c, w in before.curves)
        assert expected == pytest.approx(after.left_bytes, rel=0.03)


def test_a_sweep_goes_straight_as_far_as_it_was_seen_to() -> None:
    views = views_of(HotSet(12 * GIB, 6e9 * 0.9, sequential=True))
    for at, view in views[4:10]:
        likeliest, weight = max(view.curves, key=lambda each: each[1])
        assert likeliest.sets[0].sequential, f"after {at:.1f} s"
        assert weight > 0.5
        assert likeliest.size_bytes == pytest.approx(12 * GIB, rel=0.03)
