"""Medians and ratios, worked out by hand."""

import pytest

from postcopy.bench.bootstrap import Estimate, median, ratio


def test_a_median_lies_within_its_interval_and_that_within_the_runs() -> None:
    found = median([3.0, 1.0, 2.0, 10.0, 4.0])

    assert found.value == 3.0
    # Half of all draws of 5 have a median of 2, 3 or 4; 1 in 17 reaches each end.
    assert (found.low, found.high) == (1.0, 10.0)


def test_runs_that_agree_leave_no_doubt() -> None:
    assert median([2.0] * 4) == Estimate(2.0, 2.0, 2.0)


def test_a_ratio_is_that_of_the_medians() -> None:
    found = ratio({0: 3.0, 1: 6.0, 2: 4.0}, {0: 1.0, 1: 2.0, 2: 4.0})

    assert found is not None
    assert found.value == 4.0 / 2.0


def test_what_the_machine_does_to_both_cancels_out_in_pairs() -> None:
    ours = {0: 2.0, 1: 20.0, 2: 4.0, 3: 8.0}
    theirs = {repeat: value / 2 for repeat, value in ours.items()}

    paired = ratio(ours, theirs)
    apart = ratio(ours, theirs, paired=False)

    assert paired == Estimate(2.0, 2.0, 2.0)
    assert apart is not None
    assert apart.low < 1.0 < 2.0 < apart.high


def test_only_repeats_that_both_have_are_paired() -> None:
    found = ratio({0: 2.0, 1: 100.0}, {0: 1.0, 2: 50.0})

    assert found == Estimate(2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("ours", "theirs"), [({}, {0: 1.0}), ({0: 1.0}, {}), ({0: 1.0}, {1: 1.0}), ({0: 1.0}, {0: 0.0})]
)
def test_there_may_be_nothing_to_divide(ours: dict[int, float], theirs: dict[int, float]) -> None:
    assert ratio(ours, theirs) is None


def test_the_same_runs_always_give_the_same_interval() -> None:
    assert median([1.0, 2.0, 3.0, 5.0, 8.0]) == median([1.0, 2.0, 3.0, 5.0, 8.0])
