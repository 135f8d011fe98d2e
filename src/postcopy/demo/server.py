"""A busy server of an OpenStack cloud, moved by post-copy through Nova's API.

`run` has Nova boot the witness in a cloud of the lab's, and moves it. `attempt` is one such move,
joined with what the server made of it; whoever compares ways of moving uses that alone.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from postcopy.demo.attempt import BASELINE_SECONDS, Attempt, Watch, watch_nothing
from postcopy.demo.scene import carry, prepared
from postcopy.lab.lab import Lab
from postcopy.lab.machine import GuestSpec
from postcopy.lab.openstack.server import LabServer
from postcopy.lab.workload import Workload
from postcopy.migration.conduct import Move
from postcopy.migration.decision import Policy
from postcopy.migration.journal import Journal
from postcopy.migration.outcome import Fate, Outcome
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample
from postcopy.paths import state_dir
from postcopy.policy import Adaptive
from postcopy.report import write_page

__all__ = ["Prepare", "ServerResult", "ServerScript", "attempt", "run", "span"]

_BUSY = Workload(cold_mib=128, hot_mib=64)

Prepare = Callable[[str, str, Policy], Awaitable[Move]]
"""Makes ready to move a server of the lab's cloud to a host by a policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerScript:
    """What is played.

    :ivar rate: of the data link, in bytes a second. Nova looks every half second, so passes have to
        last longer than that; the hot memory takes 1.3 s to send.
    """

    workload: Workload = _BUSY
    rate: int = 50_000_000
    downtime_limit: float = 0.3
    server: str = "demo-server"


@dataclass(frozen=True, slots=True)
class ServerResult:
    """The attempt, and the page about it."""

    attempt: Attempt
    report: Path

    @property
    def succeeded(self) -> bool:
        """Whether post-copy moved the server, with its memory intact."""
        done = self.attempt.outcome
        return done.fate is Fate.COMPLETED and done.switched_at is not None and self.attempt.intact

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values, for JSON."""
        return {"postcopy": self.attempt.to_dict(), "report": str(self.report)}


async def run(
    lab: Lab,
    journal: Journal,
    prepare: Prepare,
    *,
    script: ServerScript | None = None,
    stage: Callable[[str], None] = lambda text: None,
    watch: Watch = watch_nothing,
) -> ServerResult:
    """Play the demonstration in a lab that is up with a cloud, and leave that lab as it was.

    :param stage: told what is being done, in words.
    :param watch: makes what is called with each event of the migration.
    :raises PostcopyError: when something that is needed does not work.
    """
    script = script or ServerScript()
    spec = GuestSpec(name=script.server, workload=script.workload)
    boots = "having Nova boot a server that rewrites its memory without a pause"
    async with prepared(lab, LabServer, spec, script.rate, stage, boots) as server:
        stage("moving it through Nova's API, by post-copy as soon as passes stop shrinking")
        done = await attempt(
            server,
            journal,
            Adaptive(),
            prepare,
            rate=script.rate,
            downtime_limit=script.downtime_limit,
            stage=stage,
            watch=watch,
        )
    stage("writing the page")
    return ServerResult(done, _write(journal, done, script))


async def attempt(
    server: LabServer,
    journal: Journal,
    policy: Policy,
    prepare: Prepare,
    *,
    rate: int,
    downtime_limit: float = 0.3,
    stage: Callable[[str], None] = lambda text: None,
    watch: Watch = watch_nothing,
) -> Attempt:
    """Have Nova move a server to the other host, and have it check its memory afterwards.

    What the server goes through counts while QEMU is at it: before that Nova prepares both hosts,
    and after that it tidies them up.

    :param rate: of the data link, in bytes a second.
    """
    (there,) = server.hosts.keys() - {await server.where()}
    await asyncio.sleep(BASELINE_SECONDS)
    undisturbed = time.time()
    move = await prepare(server.spec.name, there, policy)
    run, outcome = await carry(
        server.spec.name, move, policy, journal, downtime_limit=downtime_limit, watch=watch
    )
    samples = journal.samples(run.id)
    seen = server.observe(*span(samples, outcome), undisturbed)
    stage("checking every page of its memory")
    return Attempt(run, outcome, samples, seen, await server.verify(), rate)


def span(samples: list[Sample], outcome: Outcome) -> tuple[float, float]:
    """Return when memory began to move, and when QEMU had no more need of the source; Unix time."""
    moving = (one.at for one in samples if one.phase is Phase.PRECOPY)
    began = next(moving, outcome.started_at)
    took = outcome.figures.total_seconds
    return began, outcome.ended_at if took is None else min(began + took, outcome.ended_at)


def _write(journal: Journal, done: Attempt, script: ServerScript) -> Path:
    path = state_dir() / "reports" / f"demo-openstack-{done.run.id}.html"
    write_page(
        path,
        "A busy server, moved by Nova",
        [done.report(journal)],
        subtitle="Post-copy through the API of a cloud, its switch proven by libvirt.",
    )
    data = {"postcopy": done.to_dict(), "script": asdict(script)}
    path.with_suffix(".json").write_text(json.dumps(data, indent=2) + "\n")
    return path
