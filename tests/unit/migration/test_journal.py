import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.errors import JournalError, NotFoundError
from postcopy.migration import Fate, Figures, Journal, Look, Outcome, Phase, Sample
from postcopy.migration import journal as journal_module
from postcopy.migration.event import Noted, SampleTaken


def begin(journal: Journal, guest: str = "g") -> int:
    run = journal.begin(
        guest=guest, source="a", destination="b", policy="p", driver={"x": 1}, started_at=5.0
    )
    return run.id


counts = st.integers(0, 2**62)
rates = st.floats(0, 1e15)
looks = st.builds(Look, at=rates, seconds=rates, dirtied_bytes=rates)
samples = st.builds(
    Sample, at=rates, phase=st.sampled_from(Phase), status=st.text(), pass_number=counts,
    pass_ended_at=st.none() | rates, total_bytes=counts, remaining_bytes=counts,
    transferred_bytes=counts, bandwidth=rates, dirty_rate=rates, requests=counts, error=st.text(),
    looks=st.lists(looks, max_size=3).map(tuple),
)  # fmt: skip
figures = st.builds(
    Figures, total_seconds=st.none() | rates, transferred_bytes=st.none() | counts,
    vcpu_blocktime_seconds=st.none() | st.lists(rates).map(tuple),
    latency_buckets=st.none() | st.lists(counts).map(tuple),
)  # fmt: skip
outcomes = st.builds(
    Outcome, fate=st.sampled_from(Fate), phase=st.sampled_from(Phase), started_at=rates,
    ended_at=rates, switched_at=st.none() | rates, error=st.text(), figures=figures,
)  # fmt: skip


@given(st.lists(samples, max_size=5), outcomes)
def test_what_goes_in_comes_out(taken: list[Sample], outcome: Outcome) -> None:

    journal = Journal(Path(":memory:"))
    run_id = begin(journal)
    for sample in taken:
        journal.record(run_id, SampleTaken(sample))
    journal.end(run_id, outcome)
    assert journal.samples(run_id) == taken
    assert journal.run(run_id).outcome == outcome
    assert journal.run(run_id).driver == {"x": 1}
    journal.close()


def test_runs_come_newest_first_and_by_guest(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.sqlite") as journal:
        ids = [begin(journal, guest) for guest in ("a", "b", "a")]
        assert [run.id for run in journal.runs()] == ids[::-1]
        assert [run.id for run in journal.runs("a")] == [ids[2], ids[0]]
        with pytest.raises(NotFoundError, match="no run 99"):
            journal.run(99)


WRITER = """
import sys
from pathlib import Path
from postcopy.migration import Journal, Phase, Sample
from postcopy.migration.event import SampleTaken
journal = Journal(Path(sys.argv[1]))
run = journal.begin(guest="g", source="a", destination="b", policy="p", driver={}, started_at=0.0)
for number in range(1_000_000):
    journal.record(run.id, SampleTaken(Sample(at=float(number), phase=Phase.PRECOPY)))
    print(number, flush=True)
"""


def test_a_killed_writer_loses_at_most_its_last_sample(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) >= 200:
                break
        os.kill(writer.pid, signal.SIGKILL)
        told = int([line, *writer.stdout.read().splitlines(keepends=True)][-1].strip() or line)
    with Journal(path) as journal:
        kept = [sample.at for sample in journal.samples(1)]
    assert kept == [float(number) for number in range(len(kept))]
    assert len(kept) >= told  # sample `told` is the told+1st: at most the last one is missing


def test_a_directory_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot open the journal") as caught:
        Journal(tmp_path / "file" / "j.sqlite")
    assert "POSTCOPY_STATE_DIR" in caught.value.hint


def test_something_else_in_its_place_is_explained(tmp_path: Path) -> None:
    (tmp_path / "j.sqlite").write_bytes(b"not a database, " * 100)
    with pytest.raises(JournalError, match="not a database"):
        Journal(tmp_path / "j.sqlite")


def test_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    Journal(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(JournalError, match="another version"):
        Journal(path)


def test_an_older_format_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    db = sqlite3.connect(path)
    for statement in journal_module._VERSIONS[0].split(";"):
        db.execute(statement)
    db.execute("INSERT INTO run VALUES (1, 'g', 'a', 'b', 'adaptive', '{}', 5.0, NULL)")
    db.execute(
        "INSERT INTO sample VALUES (1, 6.0, 'precopy', 'active', 1, NULL, 9, 8, 1, 0, 0, 0, '')"
    )
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    with Journal(path) as journal:
        [sample] = journal.samples(1)
        assert (sample.at, sample.remaining_bytes, sample.disk_remaining_bytes) == (6.0, 8, 0)
        journal.record(1, SampleTaken(sample))
        assert journal.samples(1) == [sample, sample]


def test_writing_to_a_closed_journal_is_an_error_of_ours(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.sqlite")
    run_id = begin(journal)
    journal.close()
    with pytest.raises(JournalError, match="cannot write"):
        journal.record(run_id, Noted(0.0, "x"))
