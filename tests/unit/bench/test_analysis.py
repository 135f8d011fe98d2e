"""Oracles, ratios and what is said of runs that went wrong, worked out by hand."""

import math

import pytest

from postcopy.bench.analysis import Case, analyse
from postcopy.migration.outcome import Fate

from .runs import HOT, IDLE, measured

CANCELLED, FAILED = Fate.CANCELLED, Fate.FAILED


def only(case: tuple[Case, ...]) -> Case:
    [one] = case
    return one


def test_the_oracle_is_the_fixed_moment_that_cost_least() -> None:
    runs = [
        # cost at a price of 0.1: 1.0 + 0.5, and 0.8 + 0.2, and 0.4 + 4.0 in the median
        *(measured("adaptive", repeat, 10.0, 0.5) for repeat in range(3)),
        *(
            measured("moment:passes=2", repeat, 8.0, lost)
            for repeat, lost in enumerate((9, 0.2, 0.1))
        ),
        *(measured("immediate", repeat, 4.0, 4.0) for repeat in range(3)),
    ]

    case = only(analyse(runs, price=0.1).cases)

    assert (case.oracle, case.reference) == ("moment:passes=2", "moment:passes=2")
    adaptive = case.row("adaptive")
    assert adaptive is not None
    assert adaptive.cost is not None
    assert adaptive.cost.value == pytest.approx(1.5)
    assert adaptive.ratio is not None
    assert adaptive.ratio.value == pytest.approx(1.5)
    assert [row.method for row in case.rows] == ["adaptive", "moment:passes=2", "immediate"]


def test_a_dearer_second_makes_another_oracle() -> None:
    runs = [measured("moment:passes=2", 0, 8.0, 0.2), measured("immediate", 0, 4.0, 1.0)]

    assert only(analyse(runs, price=0.1).cases).oracle == "moment:passes=2"  # 1.0 and 1.4
    assert only(analyse(runs, price=1.0).cases).oracle == "immediate"  # 8.2 and 5.0


def test_what_never_ended_is_no_oracle_and_its_cost_is_the_least_possible() -> None:
    runs = [
        measured("moment:passes=2", 0, 8.0, 0.2),
        measured("precopy", 0, 1.0, 0.0, fate=CANCELLED),
    ]

    case = only(analyse(runs, price=0.1).cases)

    assert case.oracle == "moment:passes=2"
    precopy = case.row("precopy")
    assert precopy is not None
    assert (precopy.runs, precopy.given_up, precopy.failed) == (1, 1, 0)
    summary = analyse(runs, price=0.1).summaries[1]
    assert (summary.method, summary.given_up, summary.least) == ("precopy", 1, math.inf)
    assert summary.to_dict()["greatest"] is None


def test_without_a_sweep_the_first_method_is_the_reference() -> None:
    runs = [
        measured("adaptive", 0, 5.0, 0.5),
        measured("nova", 0, 9.0, 1.1),
        measured("nova", 1, 9.0, 1.1),
        measured("adaptive", 1, 5.0, 0.5),
    ]

    case = only(analyse(runs, price=0.1).cases)

    assert (case.oracle, case.reference) == (None, "adaptive")
    nova = case.row("nova")
    assert nova is not None
    assert nova.ratio is not None
    assert nova.ratio.value == pytest.approx(2.0)


def test_one_that_never_moved_the_guest_is_no_reference() -> None:
    runs = [
        measured("adaptive", 0, 5.0, 0.5, fate=FAILED),
        measured("nova", 0, 20.0, 0.0, fate=CANCELLED),
        measured("immediate", 0, 4.0, 1.0),
    ]

    assert only(analyse(runs, price=0.1).cases).reference == "immediate"


def test_methods_without_preempt_are_no_moments_to_choose_from() -> None:
    runs = [
        measured("moment:passes=1", 0, 8.0, 0.2),
        measured("immediate without preempt", 0, 1.0, 0.0),
    ]

    assert only(analyse(runs, price=0.1).cases).oracle == "moment:passes=1"


def test_failed_runs_are_counted_and_not_averaged() -> None:
    runs = [
        measured("adaptive", 0, 5.0, 0.5),
        measured("adaptive", 1, 900.0, 0.0, fate=FAILED),
        measured("adaptive", 2, 5.0, 0.5, intact=False, error="3 pages are wrong"),
    ]

    analysis = analyse(runs, price=0.1)
    row = only(analysis.cases).rows[0]

    assert (row.runs, row.failed, row.wrong) == (2, 1, 1)
    assert row.errors == ("3 pages are wrong",)
    assert row.total is not None
    assert row.total.high == 5.0
    assert not analysis.sound
    assert analyse(runs[:1], price=0.1).sound


def test_a_method_is_summed_up_over_the_scenarios() -> None:
    runs = []
    for scenario, total in ((HOT, 10.0), (IDLE, 20.0)):
        runs += [
            measured("adaptive", 0, 10.0, 0.0, scenario=scenario),
            measured("nova", 0, total, 0.0, scenario=scenario),
        ]

    nova = analyse(runs, price=0.1).summaries[1]

    assert (nova.method, nova.scenarios) == ("nova", 2)
    assert (nova.least, nova.median, nova.greatest) == pytest.approx((1.0, 1.5, 2.0))


def test_another_figure_has_ratios_of_its_own() -> None:
    runs = [
        measured("immediate", 0, 5.0, 0.5, freeze=0.1),
        measured("immediate without preempt", 0, 5.0, 0.5, freeze=0.4),
    ]

    analysis = analyse(runs, price=0.1, figure="freeze")

    assert analysis.summaries[1].median == pytest.approx(4.0)
