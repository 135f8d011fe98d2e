"""``postcopy bench``, as far as it needs no lab."""

import json
from pathlib import Path
from typing import Any

import pytest

from postcopy.bench.record import Measured, Record
from postcopy.bench.suite import Suite, find_suite
from postcopy.cli import app
from postcopy.migration.outcome import Fate
from postcopy.paths import state_dir


def run(*arguments: str) -> int:
    return app._run(["bench", *arguments])


def data(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run(*arguments, "-f", "json") == 0
    return json.loads(capsys.readouterr().out)


MINE = "methods: [adaptive, precopy]\nrepeats: 1\nscenarios: [{workload: [idle, hot]}]\n"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    return path


def measure(suite: Suite, wrong: int | None = None) -> Record:
    record = Record(state_dir() / "bench" / f"{suite.name}.jsonl", suite.to_dict())
    for number, each in enumerate(suite.runs):
        record.add(
            Measured(
                scenario=each.scenario,
                method=each.method.text,
                repeat=each.repeat,
                started_at=1000.0 + number,
                fate=Fate.COMPLETED,
                total_seconds=5.0,
                guest_seconds_lost=0.5 + number,
                intact=number != wrong,
            )
        )
    return record


def test_suites_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    listed = data(capsys, "run")

    assert {"quick", "full", "oracle", "peers", "preempt"} <= set(listed)


def test_a_dry_run_says_what_is_missing_and_how_long_it_takes(
    capsys: pytest.CaptureFixture[str], mine: Path
) -> None:
    plan = data(capsys, "run", str(mine), "--dry-run")

    assert (plan["done"], len(plan["runs"])) == (0, 4)
    assert plan["expected_seconds"] == sum(each["expected_seconds"] for each in plan["runs"])
    assert not (state_dir() / "bench").exists()

    assert run("run", str(mine), "--dry-run") == 0
    assert "4 runs to do, 0 on record" in capsys.readouterr().out

    assert len(data(capsys, "run", str(mine), "--dry-run", "--only", "HOT")["runs"]) == 2
    assert len(data(capsys, "run", str(mine), "--dry-run", "--repeats", "3")["runs"]) == 12


def test_what_is_measured_is_shown_again_without_a_lab(
    capsys: pytest.CaptureFixture[str], mine: Path
) -> None:
    measure(find_suite(str(mine)))

    found = data(capsys, "run", str(mine))

    assert [case["reference"] for case in found["scenarios"]] == ["adaptive", "adaptive"]
    assert Path(found["page"]).exists()
    assert run("run", str(mine)) == 0
    assert "idle, 128 MiB" in capsys.readouterr().out
    assert run("run", str(mine), "-f", "markdown") == 0
    text = capsys.readouterr().out
    # Costs are 1.0 and 2.0 for the idle guest, and 3.0 and 4.0 for the hot one.
    assert "| `precopy` | 1.67 | 1.33 | 2.00 | 2.00 | 1.33 |" in text
    assert "`postcopy bench run mine --repeats 1 -f markdown`: 4 moves." in text


def test_a_guest_that_is_not_intact_is_a_failure(
    capsys: pytest.CaptureFixture[str], mine: Path
) -> None:
    measure(find_suite(str(mine)), wrong=2)

    assert run("run", str(mine)) == 1
    assert "NOT INTACT" in capsys.readouterr().out


def test_two_methods_are_compared(capsys: pytest.CaptureFixture[str], mine: Path) -> None:
    measure(find_suite(str(mine)))

    found = data(capsys, "compare", "adaptive@mine", "precopy@mine", "--by", "lost")
    assert [pair["ratio"]["median"] for pair in found["pairs"]] == pytest.approx([3.0, 7.0 / 5.0])
    assert run("compare", "adaptive@mine", "precopy@mine") == 0
    assert "times that of adaptive@mine" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("run", "quickly"), 66),
        (("run", "quick", "--only", "mysql", "--dry-run"), 64),
        (("run", "quick", "--repeats", "0"), 64),
        (("compare", "a", "b"), 66),
        (("compare", "a"), 64),
        (("compare", "a", "b", "--by", "beauty"), 64),
        (("compare", "a", "b", "--price", "-1"), 64),
    ],
)
def test_bad_input_has_its_exit_code(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int
) -> None:
    assert run(*arguments) == code
    assert "rror" in capsys.readouterr().err
