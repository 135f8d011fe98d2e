"""What of somebody else's migration is put on record, and when."""

from pathlib import Path

import pytest

from postcopy.migration.event import Event, PhaseChanged, Recovered, SampleTaken
from postcopy.migration.journal import Journal
from postcopy.migration.outcome import Fate, Outcome
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample
from postcopy.watch.notice import Kind
from postcopy.watch.tender import LazyRecord


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.sqlite")


def begin(journal: Journal) -> int:
    return journal.begin(
        guest="web1", source="a", destination="b", policy="precopy", driver={"kind": "libvirt"},
        started_at=1.0,
    ).id  # fmt: skip


def sample(phase: Phase) -> Event:
    return SampleTaken(Sample(at=1.0, phase=phase))


ENDED = Outcome(fate=Fate.COMPLETED, phase=Phase.COMPLETED, started_at=1.0, ended_at=9.0)


def test_a_post_copy_that_goes_well_is_none_of_ours(journal: Journal) -> None:
    record = LazyRecord(journal, begin, lambda kind, text: None)
    for _ in range(100):
        record(sample(Phase.POSTCOPY))
    record.end(ENDED)
    assert journal.runs() == []


@pytest.mark.parametrize(
    "trouble",
    [
        Recovered(2.0, "interrupted: nothing sent for 1.2 s"),
        PhaseChanged(2.0, Phase.POSTCOPY, Phase.PAUSED),
        sample(Phase.PAUSED),
    ],
)
def test_one_that_breaks_is_on_record_with_what_came_before(
    journal: Journal, trouble: Event
) -> None:
    record = LazyRecord(journal, begin, lambda kind, text: None)
    for _ in range(100):
        record(sample(Phase.POSTCOPY))
    record(trouble)
    record(sample(Phase.RECOVERING))
    [run] = journal.runs("web1")
    assert run.outcome is None  # whoever comes next finds that it is open
    phases = [one.phase for one in journal.samples(run.id)]
    assert 5 < phases.count(Phase.POSTCOPY) < 100
    assert phases[-1] is Phase.RECOVERING
    record.end(ENDED)
    [run] = journal.runs("web1")
    assert run.outcome is not None
    assert run.outcome.fate is Fate.COMPLETED


def test_a_journal_that_cannot_be_written_is_said_once_and_gone_without(
    journal: Journal, tmp_path: Path
) -> None:
    told: list[tuple[Kind, str]] = []
    record = LazyRecord(journal, begin, lambda kind, text: told.append((kind, text)))
    journal.close()
    for _ in range(3):
        record(Recovered(2.0, "connect"))
    record.end(ENDED)
    [(kind, text)] = told
    assert kind is Kind.NOTE
    assert "going on without the journal" in text
