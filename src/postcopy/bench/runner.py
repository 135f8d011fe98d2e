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
from postcopy.lab.services.image import ensure as ensure_image
from postcopy.lab.services.service import SERVICES
from postcopy.migration.claim import claim
from postcopy.migration.journal import Journal
from postcopy.migration.outcome import Fate
from postcopy.paths import state_dir

__all__ = ["Progress", "missing", "prepare", "run_suite"]

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


async def prepare(runs: list[Planned], stage: Callable[[str], None]) -> None:
    """Make the images of servers that runs need, where the cache has none.

    :param stage: told what is being done, in words.
    :raises UnavailableError: when one cannot be made.
    """
    for name in dict.fromkeys(run.scenario.workload for run in runs):
        if name in SERVICES:
            await ensure_image(SERVICES[name], stage)


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
    link = lab.link()
    rate_before = (await link.status()).rate
    version = lab.roots()[names.HOSTS[0]].qemu_version
    record.about = {**record.about, "qemu": str(version), "processors": os.cpu_count()}
    with claim(state_dir() / "locks", stand.GUEST), Journal(record.journal_path) as journal:
        going = _Going(lab, suite, record, journal, progress, _Pace.of(runs, suite.patience))
        try:
            for _, group in groupby(runs, key=lambda run: run.scenario):
                await going.through(list(group))
        finally:
            await asyncio.shield(stand.clear(lab))
            await asyncio.shield(stand.shape(link, rate_before))


@dataclass(slots=True)
class _Going:
    """The runs of a suite, one scenario after the other."""

    lab: Lab
    suite: Suite
    record: Record
    journal: Journal
    progress: Callable[[Progress], None]
    pace: "_Pace"
    failures: int = 0
    """How many there were in a row."""

    async def through(self, runs: list[Planned]) -> None:
        """Make the runs of one scenario, on one guest as long as nothing befalls it."""
        standing: stand.Stand | None = None
        try:
            for run in runs:
                what = f"{run.scenario.name}: {run.method.text}, repeat {run.repeat + 1}"
                self._tell(what)
                began = time.monotonic()
                standing = standing or await stand.boot(self.lab, run.scenario)
                measured = await _attempt(standing, run, self.journal, self.suite.patience)
                self.record.add(measured)
                self.pace.add(time.monotonic() - began)
                went_well = self._count(measured, what)
                if not (went_well and measured.intact):
                    await standing.close()
                    standing = None  # what went through that is not measured again
        finally:
            if standing is not None:
                await standing.close()

    def _tell(self, what: str) -> None:
        total = len(self.suite.runs)
        done = total - self.pace.left
        self.progress(Progress(done, total, self.pace.seconds_left, what))

    def _count(self, measured: Measured, what: str) -> bool:
        """Return whether a run succeeded.

        :raises MigrationError: when too many have not, one after the other.
        """
        if measured.ended or measured.given_up:
            self.failures = 0
            return True
        self.failures += 1
        if self.failures == _MOST_FAILURES:
            raise MigrationError(
                f"{self.failures} runs in a row have failed, the last one: {what}:"
                f" {measured.error or measured.fate}",
                hint="look at it, and run the same command again: it goes on from here",
            )
        return False


async def _attempt(
    standing: stand.Stand, run: Planned, journal: Journal, patience: float
) -> Measured:
    began = time.time()
    try:
        bound = patience_for(run.scenario, patience)
        return await execute(
            standing, run.scenario, run.method, run.repeat, journal, patience=bound
        )
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
        self._done = 0

    @classmethod
    def of(cls, runs: list[Planned], patience: float) -> "_Pace":
        return cls(expected_seconds(runs, patience))

    def add(self, seconds: float) -> None:
        self._taken += seconds
        self._done += 1

    @property
    def left(self) -> int:
        return len(self._expected) - self._done

    @property
    def seconds_left(self) -> float:
        expected = sum(self._expected[: self._done])
        slowness = self._taken / expected if expected else 1.0
        return slowness * sum(self._expected[self._done :])
