"""The record of a lab: written whole, read back, and suspicious of what it did not write."""

import os
from pathlib import Path

import pytest

from postcopy import pids
from postcopy.errors import UnavailableError
from postcopy.lab import names, state
from postcopy.lab.state import HostRecord, LabRecord

RECORD = LabRecord("mine", 3, {"alpha": "trixie", "beta": "sid"}, 125_000_000, "/cache/labs/mine")


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSTCOPY_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(names, "NAMESPACES", tmp_path / "netns")
    return tmp_path


def test_what_was_saved_is_loaded() -> None:
    whole = RECORD.with_hosts({"alpha": HostRecord(10, 100), "beta": HostRecord(11, 101)})
    whole.save()
    assert LabRecord.load("mine") == whole
    assert [path.name for path in state.directory("mine").iterdir()] == ["lab.json"]


def test_a_lab_that_never_was_has_no_record() -> None:
    assert LabRecord.load("mine") is None


def test_a_record_of_an_older_version_is_read() -> None:
    """Before hosts could differ, a lab had one release."""
    path = state.directory("mine") / "lab.json"
    path.parent.mkdir(parents=True)
    path.write_text(
        '{"format": 1, "name": "mine", "slot": 3, "release": "trixie", "rate": 125000000,'
        ' "layers": "/cache/labs/mine", "hosts": {"alpha": {"pid": 10, "start_time": 100}}}'
    )
    record = LabRecord.load("mine")
    assert record is not None
    assert record.releases == {"alpha": "trixie", "beta": "trixie"}
    assert record.hosts == {"alpha": HostRecord(10, 100)}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"format": 99}', '{"format": 1, "hosts": {"alpha": {}}}']
)
def test_a_record_that_makes_no_sense_is_an_error_with_a_way_out(text: str) -> None:
    RECORD.save()
    (state.directory("mine") / "lab.json").write_text(text)
    with pytest.raises(UnavailableError) as caught:
        LabRecord.load("mine")
    assert "lab down" in caught.value.hint


def test_labs_are_known_by_a_directory_or_by_a_namespace(runtime: Path) -> None:
    RECORD.save()
    state.lock_path("locked").touch()
    (runtime / "netns").mkdir()
    (runtime / "netns/postcopy-other-beta").touch()
    assert state.known_labs() == {"mine", "other"}


def test_a_host_is_alive_only_as_the_very_process_that_was_started() -> None:
    start = pids.start_time(os.getpid())
    assert start is not None
    assert HostRecord(os.getpid(), start).alive
    assert not HostRecord(os.getpid(), start + 1).alive


def test_directories_above_a_lab_go_with_the_last_one(runtime: Path) -> None:
    RECORD.save()
    state.remove_empty_directories()
    assert state.directory("mine").exists()
    (state.directory("mine") / "lab.json").unlink()
    state.directory("mine").rmdir()
    state.remove_empty_directories()
    assert not (runtime / "run").exists()
