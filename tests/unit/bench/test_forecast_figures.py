"""How good forecasts were, as `bench/forecast_accuracy.py` tells it: the file, the figures."""

import json
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[3] / "bench"
FIGURES = ("transferred_bytes", "downtime_seconds", "longest_freeze_seconds", "guest_seconds_lost")


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script's module: scripts are no package."""
    monkeypatch.syspath_prepend(BENCH)
    import forecast_figures

    return forecast_figures


def move(expected: tuple[float | None, ...], came: float, fate: str = "completed") -> Any:
    median, low, high = expected
    interval = {"median": median, "low": low, "high": high}
    return {
        "expected": {"ends": 1.0, "total_seconds": interval, **dict.fromkeys(FIGURES, interval)},
        "fate": fate,
        "plan_seconds": 5.0 + came,
        "total_seconds": came,
        **dict.fromkeys(FIGURES),
    }


def result(number: int, *moves: Any) -> Any:
    return {"scenario": {"number": number, "mbit": 100 * number}, "moves": list(moves)}


def wanted(*numbers: int) -> Any:
    return {number: result(number)["scenario"] for number in numbers}


def test_what_is_in_the_file_is_not_played_again(figures: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    first = figures.Results(path, wanted(1, 2, 3))
    assert first.missing == [1, 2, 3]
    first.add(result(2))
    first.add(result(1))
    with path.open("a") as file:
        file.write('{"scenario": {"numb')  # killed while it wrote

    again = figures.Results(path, wanted(1, 2, 3))

    assert again.missing == [3]
    assert again.done == [result(1), result(2)]
    again.add(result(3))
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        *(result(2), result(1), result(3)),
    ]
    assert figures.Results(path, wanted(1)).done == [result(1)]


def test_results_of_other_scenarios_are_not_taken_for_these(figures: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    figures.Results(path, wanted(1)).add(result(1))

    with pytest.raises(SystemExit, match="another seed"):
        figures.Results(path, {1: {"number": 1, "mbit": 999}})
    path.write_text("a letter\n")
    with pytest.raises(SystemExit, match="holds no forecasts"):
        figures.Results(path, wanted(1))


def test_figures_are_those_of_the_moves_that_were_completed(figures: Any) -> None:
    results = [
        result(1, move((10.0, 9.0, 11.0), 10.0), move((9.0, 8.0, 9.5), 10.0)),
        result(2, move((8.0, 6.0, 9.0), 30.0, "cancelled"), move((None, 5.0, None), 10.0)),
    ]

    found = figures.summary(results)

    assert (found["scenarios"], found["convergence_right"]) == (2, 1)
    total = found["all"]["total_seconds"]
    assert total["moves"] == 3
    assert total["error_median"] == pytest.approx(0.1)
    assert total["error_90th_percentile"] is None  # one was said never to end
    assert total["held"] == 2
    assert found["drawn"]["moves"] == 2
    assert found["all"]["downtime_seconds"]["moves"] == 0
    assert found["plan_seconds_most"] == 35.0
    json.dumps(found, allow_nan=False)


def test_a_downtime_of_none_is_in_its_interval_or_is_not(figures: Any) -> None:
    none, some = move((0.001, 0.0, 0.004), 10.0), move((0.001, 0.0005, 0.004), 10.0)
    none["downtime_seconds"] = some["downtime_seconds"] = 0.0

    found = figures.summary([result(1, none, some)])["all"]["downtime_seconds"]

    assert (found["moves"], found["held"], found["error_median"]) == (2, 1, None)


def test_the_table_says_what_was_wanted_and_seen(figures: Any) -> None:
    results = [result(1, move((10.0, 9.0, 11.0), 10.5), move((9.0, 8.0, 9.5), 10.0))]

    shown = figures.table(figures.summary(results))

    assert shown.startswith("Scenarios: 1; moves that were completed: 2\n")
    assert "| total time, error in the median | 7.0 % | 7.4 % |" in shown
    assert "| converges or not, said rightly | all | 1 of 1 |" in shown
    assert "| total time in its 90 % interval | 90.0 % | 1 of 2 |" in shown
    assert "| measured and forecast, at most | 8 s | 15.5 s |" in shown
    assert "| downtime | 0 | - | - | 0 of 0 |" in shown
