"""What one process asks of another that supervises a guest."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from postcopy.cli import attach
from postcopy.errors import NotFoundError, RefusedError, UsageError
from postcopy.migration.event import Noted
from postcopy.migration.journal import Journal
from postcopy.migration.outcome import Fate, Outcome
from postcopy.migration.phase import Phase


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.sqlite") as made:
        yield made


async def test_a_refusal_is_told_at_once(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    run = journal.begin(
        guest="web1", source="alpha", destination="beta", policy="precopy",
        driver={"kind": "nova"}, started_at=1.0,
    )  # fmt: skip
    journal.record(run.id, Noted(1.0, "switch was refused: an earlier one"))

    def refuse(pid: int, number: int) -> None:
        journal.record(run.id, Noted(2.0, "switch was refused: Nova would pause the guest"))

    monkeypatch.setattr(os, "kill", refuse)
    with pytest.raises(RefusedError, match="Nova would pause the guest"):
        await attach._ask(1, signal.SIGUSR2, journal, run, lambda phase: phase is Phase.POSTCOPY)


def begin(journal: Journal, source: str, claim: str | None) -> int:
    driver = {"kind": "libvirt", "claim": claim}
    return journal.begin(
        guest="web1",
        source=source,
        destination="h9",
        policy="precopy",
        driver=driver,
        started_at=1.0,
    ).id


def end(journal: Journal, run: int) -> None:
    outcome = Outcome(fate=Fate.COMPLETED, phase=Phase.COMPLETED, started_at=1.0, ended_at=2.0)
    journal.end(run, outcome)


def test_guests_of_one_name_are_told_apart_by_where_they_leave(journal: Journal) -> None:
    first, second = begin(journal, "qemu+ssh://h1", "uuid-1"), begin(journal, "qemu:///", "uuid-2")
    with pytest.raises(UsageError, match="leave several hosts") as several:
        attach.unfinished(journal, "web1")
    assert several.value.hint == "say which: --from SOURCE"
    assert attach.unfinished(journal, "web1", "qemu+ssh://h1").id == first
    end(journal, second)
    assert attach.unfinished(journal, "web1").id == first
    end(journal, first)
    with pytest.raises(NotFoundError):
        attach.unfinished(journal, "web1")


def test_of_one_guest_the_last_run_counts(journal: Journal) -> None:
    begin(journal, "h1", "uuid-1")
    again = begin(journal, "h2", "uuid-1")
    assert attach.unfinished(journal, "web1").id == again
    end(journal, again)
    with pytest.raises(NotFoundError):
        attach.unfinished(journal, "web1")
