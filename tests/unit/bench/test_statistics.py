"""Medians and percentiles."""

import pytest

from postcopy.bench.statistics import quantile


def test_a_median_lies_between_the_two_in_the_middle() -> None:
    assert quantile([4.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([4.0, 1.0, 2.0, 3.0], 0.5) == 2.5


def test_a_high_percentile_is_near_the_longest() -> None:
    values = [float(number) for number in range(101)]
    assert quantile(values, 0.95) == pytest.approx(95.0)
    assert quantile(values, 1.0) == 100.0


def test_of_nothing_there_is_none() -> None:
    assert quantile([], 0.5) is None
