"""Runs to report on: guests made of arithmetic, moved by the real supervisor."""

import asyncio
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postcopy.migration import Journal, Policy, Supervisor
from postcopy.policy import Adaptive
from postcopy.report import GuestFacts, RunReport
from postcopy.testing import FakeClock, FakeDriver, FakeGuest

INTACT = GuestFacts(
    longest_freeze_seconds=0.144,
    guest_seconds_lost=0.61,
    limit_ratio=1.28,
    pages_checked=90_112,
    pages_wrong=0,
    rebooted=False,
    panicked=False,
)

Mover = Callable[..., RunReport]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.sqlite") as journal:
        yield journal


@pytest.fixture
def move(journal: Journal) -> Mover:
    """Return `move_guest` with a journal of the test's own."""
    return functools.partial(move_guest, journal)


def move_guest(
    journal: Journal,
    policy: Policy | None = None,
    *,
    name: str = "busy",
    facts: GuestFacts | None = INTACT,
    break_after: float | None = None,
) -> RunReport:
    """Move a guest and report on it; its own progress has one bin of standstill at the switch."""
    policy = policy or Adaptive()
    clock = FakeClock(1_764_000_000.0)
    driver = FakeDriver(FakeGuest(), clock, poll_seconds=0.05, break_after=break_after)
    run = journal.begin(
        guest=name,
        source="alpha",
        destination="beta",
        policy=policy.name,
        driver={"monitor": "/run/secret.sock"},
        started_at=clock.now(),
    )
    supervisor = Supervisor(driver, policy, journal=journal, run_id=run.id, clock=clock)
    outcome = asyncio.run(supervisor.run())
    frozen = round(((outcome.switched_at or 0.0) - run.started_at) * 10) + 1
    progress = [
        (run.started_at + number / 10, 0.0 if number == frozen else 31_000.0 + number)
        for number in range(-20, round((outcome.ended_at - run.started_at) * 10) + 20)
    ]
    return RunReport.from_journal(journal, run.id, progress, facts)
