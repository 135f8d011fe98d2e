"""What one process asks of another that supervises a guest."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from postcopy.cli import attach
from postcopy.errors import RefusedError
from postcopy.migration.event import Noted
from postcopy.migration.journal import Journal
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
