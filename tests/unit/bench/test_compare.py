"""Two methods, or two records, against each other."""

import math
from pathlib import Path

import pytest

from postcopy.bench.compare import Side, compare
from postcopy.bench.record import Measured, Record
from postcopy.errors import NotFoundError, UsageError
from postcopy.migration.outcome import Fate

from .runs import HOT, IDLE, measured


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSTCOPY_STATE_DIR", str(tmp_path))
    return tmp_path / "bench"


def write(state: Path, name: str, runs: list[Measured]) -> None:
    record = Record(state / f"{name}.jsonl", {"name": name, "price": 0.1})
    for run in runs:
        record.add(run)


def moves(method: str, factor: float) -> list[Measured]:
    """Return runs on a machine that gets slower and slower."""
    return [
        measured(method, repeat, 0.0, factor * 2.0**repeat, scenario=scenario)
        for scenario in (HOT, IDLE)
        for repeat in range(5)
    ]


def test_methods_of_one_record_are_compared_in_pairs(state: Path) -> None:
    write(state, "peers", [*moves("adaptive", 1.0), *moves("nova", 1.5)])

    found = compare(Side.parse("adaptive@peers"), Side.parse("nova@peers"))

    assert found.paired
    assert [pair.scenario for pair in found.pairs] == [HOT.name, IDLE.name]
    for pair in found.pairs:
        assert (pair.ratio.low, pair.ratio.value, pair.ratio.high) == pytest.approx((1.5,) * 3)
        assert pair.verdict == "A is better"
    assert found.overall.value == pytest.approx(1.5)
    assert "adaptive@peers is better on 2" in found.verdict


def test_records_are_compared_method_by_method_and_not_in_pairs(state: Path) -> None:
    write(state, "before", [*moves("adaptive", 1.0), *moves("nova", 1.0)])
    write(state, "after", [*moves("adaptive", 1.0), *moves("nova", 0.1)])

    found = compare(Side.parse("before"), Side.parse("after"))

    assert not found.paired
    assert [(pair.method, pair.verdict) for pair in found.pairs if pair.scenario == HOT.name] == [
        ("adaptive", "no difference shown"),
        ("nova", "B is better"),  # medians of 1 to 16 against 0.1 to 1.6
    ]
    assert found.overall.value == pytest.approx(math.sqrt(0.1))


def test_a_few_runs_show_nothing(state: Path) -> None:
    write(state, "quick", [measured(m, r, 1.0, x) for m, x in (("a", 1), ("b", 9)) for r in (0, 1)])

    [pair] = compare(Side.parse("a@quick"), Side.parse("b@quick")).pairs

    assert pair.verdict == "too few runs: 2"


def test_one_that_was_given_up_cost_at_least_as_much(state: Path) -> None:
    given_up = [measured("precopy", repeat, 0.0, 0.5, fate=Fate.CANCELLED) for repeat in range(5)]
    write(state, "peers", [*[measured("adaptive", r, 0.0, 1.0) for r in range(5)], *given_up])

    [pair] = compare(Side.parse("adaptive@peers"), Side.parse("precopy@peers")).pairs
    [back] = compare(Side.parse("precopy@peers"), Side.parse("adaptive@peers")).pairs

    # What was seen of it is better; what it would have cost is not known.
    assert (pair.bound, pair.verdict) == ("at least", "no difference shown")
    assert (back.bound, back.verdict) == ("at most", "no difference shown")


def test_other_figures_can_be_compared(state: Path) -> None:
    runs = [measured("a", r, 5.0, 1.0, freeze=0.1) for r in range(5)]
    runs += [measured("b", r, 5.0, 1.0, freeze=0.3) for r in range(5)]
    write(state, "preempt", runs)

    found = compare(Side.parse("a@preempt"), Side.parse("b@preempt"), "freeze")

    assert found.overall.value == pytest.approx(3.0)
    assert found.pairs[0].to_dict()["verdict"] == "A is better"


def test_bad_input_is_named(state: Path) -> None:
    write(state, "peers", moves("adaptive", 1.0))
    write(state, "idle", [measured("nova", 0, 1.0, 1.0, scenario=IDLE)])
    write(state, "hot", [measured("nova", 0, 1.0, 1.0, scenario=HOT)])

    with pytest.raises(NotFoundError, match="no benchmark on record"):
        Side.parse("oracle")
    with pytest.raises(NotFoundError, match="no run of 'nova'") as error:
        Side.parse("nova@peers")
    assert "adaptive" in error.value.hint
    with pytest.raises(UsageError, match="whole record"):
        compare(Side.parse("adaptive@peers"), Side.parse("idle"))
    with pytest.raises(UsageError, match="no scenario in common"):
        compare(Side.parse("nova@idle"), Side.parse("nova@hot"))
    with pytest.raises(UsageError, match="no figure 'beauty'"):
        compare(Side.parse("idle"), Side.parse("idle"), "beauty")


def test_a_record_may_be_a_file(state: Path) -> None:
    write(state, "peers", moves("adaptive", 1.0))

    assert Side.parse(str(state / "peers.jsonl")).record.runs
