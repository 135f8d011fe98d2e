"""A busy guest that pre-copy cannot move, and post-copy can.

`run` boots a guest in the lab that rewrites its memory faster than the link carries it, lets
pre-copy try until it has plainly not converged, moves the guest by post-copy, and has it check
every page of its memory after each.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from postcopy.demo.attempt import BASELINE_SECONDS, Attempt, Watch, watch_nothing
from postcopy.demo.scene import carry, prepared
from postcopy.lab.guest import LabGuest
from postcopy.lab.lab import Lab
from postcopy.lab.machine import GuestSpec
from postcopy.lab.move import LabMove
from postcopy.lab.workload import Workload
from postcopy.migration.decision import Policy
from postcopy.migration.journal import Journal
from postcopy.migration.outcome import Fate
from postcopy.paths import state_dir
from postcopy.policy import Adaptive, Precopy
from postcopy.report import write_page

__all__ = ["DemoResult", "Script", "run"]

# The hot memory takes more than twice the downtime limit to send.
_BUSY = Workload(cold_mib=512, hot_mib=80)


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


async def run(
    lab: Lab,
    journal: Journal,
    *,
    script: Script | None = None,
    stage: Callable[[str], None] = lambda text: None,
    watch: Watch = watch_nothing,
) -> DemoResult:
    """Play the demonstration in a lab that is up, and leave that lab as it was.

    :param stage: told what is being done, in words.
    :param watch: makes what is called with each event of a migration.
    :raises PostcopyError: when something that is needed does not work.
    """
    script = script or Script()
    spec = GuestSpec(name=script.guest, workload=script.workload)
    boots = "booting a guest that rewrites its memory without a pause"
    async with prepared(lab, LabGuest, spec, script.rate, stage, boots) as guest:
        play = _Player(lab, guest, journal, script, stage, watch)
        stage("pre-copy: sending its memory until it has plainly not converged")
        precopy = await play.attempt(Precopy(give_up_after=3))
        stage("post-copy: the same guest, switched when passes stop shrinking")
        postcopy = await play.attempt(Adaptive())
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
        await asyncio.sleep(BASELINE_SECONDS)
        move = await LabMove.prepare(
            self.lab,
            self.guest.spec.name,
            "beta",
            postcopy=policy.uses_postcopy,
            downtime_limit=self.script.downtime_limit,
        )
        run, outcome = await carry(
            self.guest.spec.name,
            move,
            policy,
            self.journal,
            downtime_limit=self.script.downtime_limit,
            watch=self.watch,
        )
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
