"""What is on record survives whoever wrote it."""

from dataclasses import replace
from pathlib import Path

import pytest

from postcopy.bench.record import Latency, Record
from postcopy.errors import JournalError, NotFoundError

from .runs import measured

ABOUT = {"name": "quick", "price": 0.1}


def test_runs_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "quick.jsonl"
    latency = Latency(before={"p99": 0.002}, during={"p99": 0.3}, requests=1000, errors=1)
    runs = [measured("adaptive", 0, 5.0, 0.5), measured("nova", 0, 9.0, 0.1)]
    runs.append(replace(runs[0], repeat=1, latency=latency))
    record = Record(path, ABOUT)
    for run in runs:
        record.add(run)

    again = Record.existing(path)

    assert again.runs == runs
    assert again.runs[2].latency == latency
    assert again.about == ABOUT
    assert again.find(runs[1].key) == runs[1]
    assert again.find((runs[1].scenario.name, "nova", 7)) is None


def test_a_torn_last_line_is_lost_alone(tmp_path: Path) -> None:
    path = tmp_path / "quick.jsonl"
    record = Record(path, ABOUT)
    record.add(measured("adaptive", 0, 5.0, 0.5))
    record.add(measured("adaptive", 1, 5.0, 0.5))
    path.write_bytes(path.read_bytes()[:-40])

    again = Record(path, ABOUT)
    assert [run.repeat for run in again.runs] == [0]
    again.add(measured("adaptive", 2, 5.0, 0.5))

    assert [run.repeat for run in Record(path).runs] == [0, 2]


def test_a_run_measured_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    record = Record(tmp_path / "quick.jsonl", ABOUT)
    record.add(measured("adaptive", 0, 5.0, 0.5))
    record.add(measured("adaptive", 0, 7.0, 0.5))

    assert [run.total_seconds for run in Record(record.path).runs] == [7.0]


@pytest.mark.parametrize(
    "content",
    [
        "no JSON\n",
        '{"runs": 3}\n',
        '{"format": 99, "suite": {}}\n',
        '{"format": 1, "suite": {}}\n{"scenario": 5}\n',
        '{"format": 1, "suite": {}}\n[]\n',
    ],
)
def test_what_is_no_record_is_said_to_be_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "quick.jsonl"
    path.write_text(content)

    with pytest.raises(JournalError) as error:
        Record(path)

    assert str(path) in error.value.message
    assert error.value.hint


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "peers.jsonl").touch()

    with pytest.raises(NotFoundError) as error:
        Record.existing(tmp_path / "quick.jsonl")

    assert "peers" in error.value.hint


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    record = Record(tmp_path / "file" / "quick.jsonl", ABOUT)

    with pytest.raises(JournalError, match="cannot write"):
        record.add(measured("adaptive", 0, 5.0, 0.5))
