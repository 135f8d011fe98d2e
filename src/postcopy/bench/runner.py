"""Goes through a suite: boots each scenario's guest, and makes and records what is missing."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from postcopy.bench import stand
from postcopy.bench.estimate import expected_seconds, patience_for
from postcopy.bench.execute import execute
from postcopy.bench.record import Measured, Record
from postcopy.bench.suite import Planned, Suite
from postcopy.errors import MigrationError, PostcopyError
from postcopy.lab import names
from postcopy.lab.lab import Lab
from postcopy.migration.claim import claim
from postcopy.migration.journal import Journal
from postcopy.migration.outcome import Fate
from postcopy.paths import state_dir

__all__ = ["Progress", "missing", "run_suite"]

# So many failures one after the other are no bad luck any more.
_MOST_FAILURES = 3


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a suite has come.

    :param done: of `total` runs, those on record before included.
    :param seconds_left: by the model, set right by how long the runs so far have really taken.
    """

    done: int
    total: int
    seconds_left: float
    text: str


def missing(suite: Suite, record: Record) -> list[Planned]:
    """Return the runs of a suite that are not on record, in their order."""
    return [run for run in suite.runs if record.find(run.key) is None]


async def run_suite(
    lab: Lab,
    suite: Suite,
    record: Record,
    progress: Callable[[Progress], None] = lambda now: None,
) -> None:
    """Make the runs of a suite that are not on record, in a lab that is up.

    Interrupted, it ends its guest and leaves the lab's link as it was.

    :raises MigrationError: when several runs in a row fail.
    :raises PostcopyError: when a guest does not boot, or the record cannot be written.
    """
    runs = missing(suite, record)
    total = len(suite.runs)
    expected = expected_seconds(runs, suite.patience)
    pace = _Pace(expected)
    link = lab.link()
    rate_before = (await link.status()).rate
    version = lab.roots()[names.HOSTS[0]].qemu_version
    record.about = {**record.about, "qemu": str(version), "processors": os.cpu_count()}
    failures = 0
    with claim(state_dir() / "locks", stand.GUEST), Journal(record.journal_path) as journal:
        try:
            for _, group in groupby(runs, key=lambda run: run.scenario):
                guest = None
                for run in group:
                    done = total - len(runs) + pace.done
                    what = f"{run.scenario.name}: {run.method.text}, repeat {run.repeat + 1}"
                    progress(Progress(done, total, pace.seconds_left, what))
                    began = time.monotonic()
                    if guest is None:
                        guest = await stand.boot(lab, run.scenario)
                    measured = await _attempt(guest, run, journal, suite.patience)
                    record.add(measured)
                    pace.add(time.monotonic() - began)
                    failed = measured.fate not in (Fate.COMPLETED, Fate.CANCELLED)
                    failures = failures + 1 if failed else 0
                    if failures == _MOST_FAILURES:
                        raise MigrationError(
                            f"{failures} runs in a row have failed, the last one: {what}:"
                            f" {measured.error or measured.fate}",
                            hint="look at it, and run the same command again: it goes on from here",
                        )
                    if failed or not measured.intact:
                        guest = None  # what went through that is not measured again
        finally:
            await asyncio.shield(stand.clear(lab))
            await asyncio.shield(stand.shape(link, rate_before))


async def _attempt(
    guest: stand.BenchGuest, run: Planned, journal: Journal, patience: float
) -> Measured:
    began = time.time()
    try:
        bound = patience_for(run.scenario, patience)
        return await execute(guest, run.scenario, run.method, run.repeat, journal, patience=bound)
    except PostcopyError as error:
        return Measured(
            scenario=run.scenario,
            method=run.method.text,
            repeat=run.repeat,
            started_at=began,
            fate=Fate.FAILED,
            total_seconds=time.time() - began,
            error=error.message,
        )


class _Pace:
    """How long what is left will take, from what was expected and how that has come so far."""

    def __init__(self, expected: list[float]) -> None:
        self._expected = expected
        self._taken = 0.0
        self.done = 0

    def add(self, seconds: float) -> None:
        self._taken += seconds
        self.done += 1

    @property
    def seconds_left(self) -> float:
        expected = sum(self._expected[: self.done])
        slowness = self._taken / expected if expected else 1.0
        return slowness * sum(self._expected[self.done :])
