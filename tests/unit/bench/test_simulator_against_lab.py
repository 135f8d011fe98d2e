"""What was measured in a lab, beside what the simulator says of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from postcopy.bench.scenario import Scenario
from postcopy.migration.outcome import Fate

from .runs import HOT, IDLE, measured

BENCH = Path(__file__).parents[3] / "bench"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script's module: scripts are no package."""
    monkeypatch.syspath_prepend(BENCH)
    import simulator_against_lab

    return simulator_against_lab


def test_each_guest_that_moved_is_simulated_with_the_same_method(script: Any) -> None:
    runs = [measured("after-first-pass", repeat, 5.8, 1.5) for repeat in range(2)]
    runs.append(measured("adaptive", 0, 4.4, 0.1, scenario=IDLE))

    hot, idle = script.compared(runs)

    assert (hot.scenario, hot.runs, idle.scenario, idle.runs) == (HOT, 2, IDLE, 1)
    assert idle.total == (pytest.approx(4.4, rel=0.03), 4.4)
    assert hot.total == (pytest.approx(5.8, rel=0.03), 5.8)
    assert hot.lost == (pytest.approx(1.6, rel=0.15), 1.5)
    found = script.summary([idle, hot])
    assert (found["guests_and_methods"], found["moves"]) == (2, 3)
    assert found["total_error_90th_percentile"] < 0.03


def test_what_the_model_does_not_have_or_did_not_move_is_left_out(script: Any) -> None:
    runs = [
        measured("adaptive", 0, 6.8, 2.1, scenario=Scenario(workload="redis")),
        measured("adaptive", 0, 4.4, 0.1, scenario=replace(IDLE, floor="libvirt")),
        measured("precopy", 0, 20.0, 0.0, fate=Fate.CANCELLED),
    ]

    assert not list(script.compared(runs))


def test_the_table_ends_with_how_far_off_it_is(script: Any) -> None:
    shown = script.table(list(script.compared([measured("adaptive", 0, 4.4, 0.1, scenario=IDLE)])))

    assert "| idle, 400 Mbit/s, 1 vCPU | adaptive | 4.4" in shown
    assert "1 moves of 1 pairs" in shown
