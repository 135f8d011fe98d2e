"""One try to move a guest, joined with what the guest made of it."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from postcopy.lab.observer import Memory, Observation, memory_verdict
from postcopy.lab.records import Verdict
from postcopy.migration.event import Event
from postcopy.migration.journal import Journal, Run
from postcopy.migration.outcome import Outcome
from postcopy.migration.sample import Sample
from postcopy.report import GuestFacts, RunReport

__all__ = ["BASELINE_SECONDS", "SETTLE_SECONDS", "Attempt", "Watch", "watch_nothing"]

BASELINE_SECONDS = 1.5
"""How long the guest is watched undisturbed, to know its own pace before each attempt."""
SETTLE_SECONDS = 1.0
"""The pages that arrive last come after the end; the guest is watched until then."""

Watch = Callable[[str, str], AbstractContextManager[Callable[[Event], None]]]
"""Makes, of a guest and its destination, what is called with each event of a migration."""


def watch_nothing(
    _guest: str, _destination: str
) -> AbstractContextManager[Callable[[Event], None]]:
    """Let a migration go by unseen."""
    return contextlib.nullcontext(lambda event: None)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to move the guest, and what the guest made of it."""

    run: Run
    outcome: Outcome
    samples: list[Sample]
    observation: Observation
    verdict: Verdict
    rate: int

    @property
    def last_known(self) -> Sample:
        """The last sample with figures: QEMU has none for a migration that was cancelled."""
        return next(sample for sample in reversed(self.samples) if sample.total_bytes)

    @property
    def resident_bytes(self) -> int:
        """What holds content, and so must be sent at least once: what the first pass sent."""
        for sample in self.samples:
            if sample.pass_ended:
                return sample.transferred_bytes
        return self.last_known.transferred_bytes

    @property
    def limit_ratio(self) -> float:
        """Total time over what the bare wire needs to carry the resident memory once."""
        return self.outcome.total_seconds / (self.resident_bytes / self.rate)

    @property
    def memory(self) -> Memory:
        """What became of the guest's memory."""
        return memory_verdict(self.observation, self.verdict)

    @property
    def intact(self) -> bool:
        """Whether every page is as it must be, and the guest never stopped being the same."""
        memory = self.memory
        return (
            not (memory["pages_wrong"] or memory["rebooted"] or memory["panicked"])
            and self.observation.uptime_continuous
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the attempt as plain values."""
        return {
            "run": self.run.id,
            "outcome": self.outcome.fate,
            "phase": self.outcome.phase,
            "total_seconds": self.outcome.total_seconds,
            "limit_ratio": self.limit_ratio,
            "downtime_seconds": self.outcome.figures.downtime_seconds,
            "longest_freeze_seconds": self.observation.longest_freeze_seconds,
            "guest_seconds_lost": self.observation.guest_seconds_lost,
            "bytes": self.last_known.transferred_bytes,
            "passes": self.last_known.pass_number,
            "switch_latency_seconds": self.outcome.switch_latency_seconds,
            "memory": {**self.memory},
        }

    def report(self, journal: Journal) -> RunReport:
        """Return what the page shows of it."""
        facts = GuestFacts(
            longest_freeze_seconds=self.observation.longest_freeze_seconds,
            guest_seconds_lost=self.observation.guest_seconds_lost,
            limit_ratio=self.limit_ratio,
            **self.memory,
        )
        return RunReport.from_journal(
            journal, self.run.id, progress=self.observation.progress, guest=facts
        )
