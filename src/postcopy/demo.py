"""The main job, told in one run: a busy guest that pre-copy cannot move, and post-copy can.

`run` boots a guest in the lab that rewrites its memory faster than the link carries it, lets
pre-copy try until it has plainly not converged, moves the guest by post-copy, and has it check
every page of its memory after each.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from postcopy.lab.guest import LabGuest
from postcopy.lab.lab import Lab
from postcopy.lab.machine import GuestSpec
from postcopy.lab.move import LabMove
from postcopy.lab.observer import Memory, Observation, memory_verdict
from postcopy.lab.records import Verdict
from postcopy.lab.workload import Workload
from postcopy.migration.claim import claim
from postcopy.migration.conduct import carry_out
from postcopy.migration.decision import Policy
from postcopy.migration.event import Event
from postcopy.migration.journal import Journal, Run
from postcopy.migration.outcome import Fate, Outcome
from postcopy.migration.sample import Sample
from postcopy.paths import state_dir
from postcopy.policy import Adaptive, Precopy, spec_of
from postcopy.report import GuestFacts, RunReport, write_page

__all__ = ["Attempt", "DemoResult", "Script", "run"]

# The hot memory takes more than twice the downtime limit to send.
_BUSY = Workload(cold_mib=512, hot_mib=80)
# How long the guest is watched undisturbed, to know its own pace before each attempt.
_BASELINE_SECONDS = 1.5
# The pages that arrive last come after the end; the guest is watched until then.
_SETTLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What is played.

    :param rate: of the data link, in bytes a second.
    """

    workload: Workload = _BUSY
    rate: int = 125_000_000
    downtime_limit: float = 0.3
    guest: str = "demo"


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


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Both attempts, and the page about them."""

    precopy: Attempt
    postcopy: Attempt
    report: Path

    @property
    def succeeded(self) -> bool:
        """Whether post-copy moved the guest, with its memory intact."""
        return self.postcopy.outcome.fate is Fate.COMPLETED and self.postcopy.intact

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values, for JSON."""
        return {
            "precopy": self.precopy.to_dict(),
            "postcopy": self.postcopy.to_dict(),
            "report": str(self.report),
        }


Watch = Callable[[str, str], AbstractContextManager[Callable[[Event], None]]]


async def run(
    lab: Lab,
    journal: Journal,
    *,
    script: Script | None = None,
    stage: Callable[[str], None] = lambda text: None,
    watch: Watch = lambda guest, destination: contextlib.nullcontext(lambda event: None),
) -> DemoResult:
    """Play the demonstration in a lab that is up, and leave that lab as it was.

    :param stage: told what is being done, in words.
    :param watch: makes what is called with each event of a migration.
    :raises PostcopyError: when something that is needed does not work.
    """
    script = script or Script()
    link = lab.link()
    rate_before = (await link.status()).rate
    with claim(state_dir() / "locks", script.guest):
        await link.up()
        await link.set_rate(script.rate)
        if script.guest in LabGuest.names(lab):
            stage("ending the guest of an earlier demonstration")
            await LabGuest.load(lab, script.guest).stop()
        stage("booting a guest that rewrites its memory without a pause")
        spec = GuestSpec(name=script.guest, workload=script.workload)
        guest = await LabGuest.start(lab, spec, "alpha")
        try:
            play = _Player(lab, guest, journal, script, stage, watch)
            stage("pre-copy: sending its memory until it has plainly not converged")
            precopy = await play.attempt(Precopy(give_up_after=3))
            stage("post-copy: the same guest, switched when passes stop shrinking")
            postcopy = await play.attempt(Adaptive())
        finally:
            await asyncio.shield(guest.stop())
            if rate_before is not None:
                await asyncio.shield(link.set_rate(rate_before))
    stage("writing the page")
    return DemoResult(precopy, postcopy, _write(journal, precopy, postcopy))


@dataclass(frozen=True, slots=True)
class _Player:
    lab: Lab
    guest: LabGuest
    journal: Journal
    script: Script
    stage: Callable[[str], None]
    watch: Watch

    async def attempt(self, policy: Policy) -> Attempt:
        """Try to move the guest to beta by a policy, and have it check its memory afterwards."""
        await asyncio.sleep(_BASELINE_SECONDS)
        move = await LabMove.prepare(
            self.lab,
            self.guest.spec.name,
            "beta",
            postcopy=policy.uses_postcopy,
            downtime_limit=self.script.downtime_limit,
        )
        run = self.journal.begin(
            guest=self.guest.spec.name,
            source=move.source,
            destination=move.destination,
            policy=spec_of(policy),
            driver=move.record(),
            started_at=time.time(),
        )
        with self.watch(run.guest, run.destination) as observe:
            outcome = await carry_out(
                move,
                policy,
                self.journal,
                run,
                downtime_limit=self.script.downtime_limit,
                observe=observe,
            )
        await asyncio.sleep(_SETTLE_SECONDS)
        observation = self.guest.observe(outcome.started_at, outcome.ended_at)
        self.stage("checking every page of its memory")
        return Attempt(
            run,
            outcome,
            self.journal.samples(run.id),
            observation,
            await self.guest.verify(),
            self.script.rate,
        )


def _write(journal: Journal, precopy: Attempt, postcopy: Attempt) -> Path:
    path = state_dir() / "reports" / f"demo-{postcopy.run.id}.html"
    write_page(
        path,
        "A busy guest, moved twice",
        [precopy.report(journal), postcopy.report(journal)],
        subtitle="Pre-copy, given up after it had plainly not converged; then post-copy.",
    )
    data = {"precopy": precopy.to_dict(), "postcopy": postcopy.to_dict()}
    data["script"] = asdict(Script())
    path.with_suffix(".json").write_text(json.dumps(data, indent=2) + "\n")
    return path
