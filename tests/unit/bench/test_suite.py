"""Suites as people write them, and the order of their runs."""

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from postcopy.bench.estimate import expected_seconds, patience_for
from postcopy.bench.scenario import FLOORS, Scenario
from postcopy.bench.suite import Suite, find_suite, suite_names
from postcopy.errors import NotFoundError, UsageError
from postcopy.lab.services.service import SERVICES

from .runs import measured

MINE = """
about: what
  I want to know
price: 0.5
repeats: 2
patience: 9
defaults: {memory: 64MiB}
methods: [adaptive, precopy, immediate]
scenarios:
  - workload: hot
    share: [25, 50]
    link: [1gbit, unshaped]
  - workload: idle
    floor: libvirt
    methods: ["virsh:timeout=3", adaptive]
"""


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_lists_stand_for_all_their_combinations(tmp_path: Path) -> None:
    suite = find_suite(written(tmp_path, MINE))

    assert (suite.name, suite.about) == ("mine", "what I want to know")
    assert (suite.price, suite.repeats, suite.patience) == (0.5, 2, 9.0)
    scenarios = [scenario for scenario, _ in suite.cases]
    assert [(one.share, one.link) for one in scenarios[:4]] == [
        (25, 125_000_000),
        (25, None),
        (50, 125_000_000),
        (50, None),
    ]
    assert {one.memory_bytes for one in scenarios} == {64 << 20}
    assert [method.text for method in suite.cases[4][1]] == ["virsh:timeout=3", "adaptive"]


def test_methods_take_turns_and_none_is_always_first(tmp_path: Path) -> None:
    suite = find_suite(written(tmp_path, MINE.replace("repeats: 2", "repeats: 3")))
    runs = suite.runs

    first = [run.method.text for run in runs[:9]]
    assert first == [
        *("adaptive", "precopy", "immediate"),
        *("precopy", "immediate", "adaptive"),
        *("immediate", "adaptive", "precopy"),
    ]
    assert [run.repeat for run in runs[:9]] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    # Guest by guest: each is booted once.
    scenarios = [run.scenario for run in runs]
    assert list(dict.fromkeys(scenarios)) == [scenario for scenario, _ in suite.cases]
    assert scenarios == sorted(scenarios, key=scenarios.index)
    assert set(Counter(run.key for run in runs).values()) == {1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no list of scenarios"),
        ("- hot", "no list of scenarios"),
        ("scenarios: {}", "no list of scenarios"),
        ("scenarios: []\nmethods: [adaptive]", "0 runs"),
        ("scenarios: [{workload: hot}]", "scenario 1: no list of methods"),
        ("scenarios: [hot]\nmethods: [adaptive]", "scenario 1: not a mapping"),
        ("scenarios: [{workload: hot}]\nmethods: [best]", "no policy 'best'"),
        ("scenarios: [{workload: hot}]\nmethods: [adaptive, adaptive]", "comes twice"),
        ("scenarios: [{workload: hot}, {workload: hot}]\nmethods: [adaptive]", "comes twice"),
        ("scenarios: [{workload: hot}]\nmethods: ['virsh:timeout=3']", "libvirt domains only"),
        ("scenarios: [{workload: cold}]\nmethods: [adaptive]", "scenario 1: there is no workload"),
        ("scenarios: [{workload: hot}]\nmethods: [adaptive]\nprice: -1", "price: -1"),
        ("scenarios: [{workload: hot}]\nmethods: [adaptive]\nrepeats: 1.5", "repeats: 1.5"),
        ("scenarios: [{workload: hot}]\nmethods: [adaptive]\nfigure: beauty", "no figure"),
        ("scenarios: [{workload: hot}]\nmethods: [adaptive]\ncolour: red", "no 'colour'"),
        ("scenarios: [{workload: hot}\n", "cannot be read"),
        ("\x00", "cannot be read"),
    ],
)
def test_errors_are_named_with_their_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        find_suite(written(tmp_path, text))

    assert words in error.value.message
    assert "mine" in error.value.message
    assert error.value.hint


def test_an_unknown_suite_is_not_found_and_the_known_are_named() -> None:
    with pytest.raises(NotFoundError) as error:
        find_suite("quickly")

    assert "quick" in error.value.hint


@pytest.mark.parametrize("name", ["quick", "full", "oracle", "peers", "preempt", "databases"])
def test_suites_that_come_along_can_be_run(name: str) -> None:
    suite = find_suite(name)

    assert suite_names()[name] == suite.about
    expected = expected_seconds(suite.runs, suite.patience)
    assert all(0 < seconds < 120 for seconds in expected)
    if name == "quick":
        assert sum(expected) < 6 * 60


def test_both_servers_are_measured_on_both_floors() -> None:
    found = {(one.workload, one.floor) for one, _ in find_suite("databases").cases}

    assert found == set(itertools.product(SERVICES, FLOORS))


def test_the_oracle_is_swept_from_at_once_to_never() -> None:
    for _, methods in find_suite("oracle").cases:
        texts = [method.text for method in methods]
        assert texts[0] == "adaptive"
        assert {"immediate", "precopy"} < set(texts)
        assert sum(text.startswith("moment:") for text in texts) >= 4


def test_a_slow_link_is_given_time() -> None:
    assert patience_for(Scenario(workload="hot"), 20.0) == 20.0
    slow = Scenario(workload="hot", link=12_500_000)
    assert patience_for(slow, 20.0) == pytest.approx(2.5 * ((128 << 20) + 75e6) / 12.5e6)


def test_a_suite_without_a_file_says_what_it_needs() -> None:
    with pytest.raises(UsageError, match="suite x"):
        Suite.parse("x", None)


def test_runs_made_later_are_shown_where_their_method_stands() -> None:
    """Such as those of one method that was measured anew."""
    suite = find_suite("quick")
    (scenario, [first, second, *_]), *_ = suite.cases
    runs = [
        replace(measured(method, repeat, 5.0, 0.5), scenario=scenario)
        for repeat, method in [(1, "gone"), (0, second.text), (1, first.text), (0, first.text)]
    ]

    shown = [(run.method, run.repeat) for run in suite.in_order(runs)]

    assert shown == [(first.text, 0), (first.text, 1), (second.text, 0), ("gone", 1)]
