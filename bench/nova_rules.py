"""Nova's own rules for ending a live migration, and ours, on one server of one cloud.

    .venv/bin/python bench/nova_rules.py                       (as root; minutes)

A busy server, on shared storage, is moved three times through the API of a real Nova, whose
nova.conf is changed in between:

- with Nova's defaults: pre-copy, called off after 800 s a GiB;
- with post-copy permitted, and forced after 15 s a GiB, which is the best that an operator can
  guess for all servers;
- by this project's policy `adaptive`, with post-copy permitted.

In the first two nobody but Nova decides. A server counts for 2 GiB at least, so the defaults give
up after 1600 s: that is waited for if --patience allows it. If not, the migration is called off
from here after so many seconds, and the table says so; figures are then those until that moment.

Prints a table, and writes the same as JSON to the file that --output names. Exit code 0 only if the
server's memory was intact after each.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from postcopy.cli import moves
from postcopy.cli.output import print_table
from postcopy.cli.request import Request
from postcopy.demo.attempt import Attempt
from postcopy.demo.server import attempt
from postcopy.lab.lab import Lab
from postcopy.lab.machine import GuestSpec
from postcopy.lab.openstack.server import LabServer
from postcopy.lab.workload import Workload
from postcopy.migration import Fate, Journal
from postcopy.migration.conduct import Move
from postcopy.migration.decision import Action, Decision, History, Policy
from postcopy.migration.phase import Phase
from postcopy.policy import Adaptive
from postcopy.units import format_bytes, format_seconds

SERVER = "measured"
LEAST_GIB = 2
"""What Nova takes any server for, at least, when it works its time-out out."""
CALM_SECONDS = 10.0
"""Until nova-compute, started again with other rules, leaves the processors to the server."""


@dataclass(frozen=True)
class OnlyWatch:
    """Leave everything to Nova, but not for ever."""

    patience: float
    name: ClassVar[str] = "only-watch"
    uses_postcopy: ClassVar[bool] = False

    def decide(self, history: History) -> Decision:
        """Call it off when patience is at its end."""
        if history.elapsed_seconds > self.patience:
            return Decision(Action.CANCEL, f"{self.patience:.0f} s are over")
        return Decision(Action.CONTINUE, "it is Nova's")


@dataclass(frozen=True)
class Rule:
    """One way of ending a migration.

    :ivar options: of nova.conf's ``[libvirt]``.
    :ivar policy: ours; None leaves it to Nova.
    """

    name: str
    permitted: bool
    seconds_a_gib: int
    action: str
    policy: Policy | None = None

    @property
    def options(self) -> dict[str, str]:
        """Return what nova.conf says."""
        return {
            "live_migration_permit_post_copy": str(self.permitted).lower(),
            "live_migration_completion_timeout": str(self.seconds_a_gib),
            "live_migration_timeout_action": self.action,
        }

    @property
    def timeout_seconds(self) -> int:
        """After which Nova acts by itself."""
        return self.seconds_a_gib * LEAST_GIB


RULES = (
    Rule("Nova's defaults", False, 800, "abort"),
    Rule("Nova, post-copy after 15 s/GiB", True, 15, "force_complete"),
    Rule("adaptive", True, 15, "force_complete", Adaptive()),
)


async def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lab", default="bench-nova")
    parser.add_argument("--patience", default=120.0, type=float, help="seconds to watch Nova for")
    parser.add_argument("--rate", default=50_000_000, type=int, help="of the link, bytes a second")
    parser.add_argument("--cold", default=128, type=int, help="MiB")
    parser.add_argument("--hot", default=64, type=int, help="MiB that are rewritten")
    parser.add_argument(
        "--pages", default=20_000, type=int, help="rewritten a second; 0: all it can"
    )
    parser.add_argument("--output", type=Path, help="a file for the figures, as JSON")
    options = parser.parse_args()
    lab = Lab(options.lab)
    workload = Workload(cold_mib=options.cold, hot_mib=options.hot, rate=options.pages)
    found = {}
    with (
        tempfile.TemporaryDirectory() as directory,
        Journal(Path(directory, "j.sqlite")) as journal,
    ):
        try:
            await lab.up(openstack=True, shared=True, progress=say)
            await lab.link().set_rate(options.rate)
            spec = GuestSpec(name=SERVER, workload=workload)
            server = await LabServer.start(lab, spec, "alpha")
            for rule in RULES:
                say(f"{rule.name}: {rule.options}")
                await lab.up(openstack=True, nova=rule.options)
                await asyncio.sleep(CALM_SECONDS)
                policy = rule.policy or OnlyWatch(options.patience)
                found[rule.name] = (rule, await measure(lab, server, journal, policy, options.rate))
        finally:
            await lab.down()
    rows = [tell(rule, done) for rule, done in found.values()]
    columns = list(rows[0])
    print_table(("", *found), [(name, *(shown(row[name]) for row in rows)) for name in columns])
    data = {
        "server": {"memory_mib": workload.memory_mib, **asdict(workload)},
        "bytes_per_second": options.rate,
        "patience_seconds": options.patience,
        "rules": dict(zip(found, rows, strict=True)),
    }
    if options.output is not None:
        options.output.write_text(json.dumps(data, indent=2) + "\n")
    return 0 if all(done.intact for _, done in found.values()) else 1


async def measure(
    lab: Lab, server: LabServer, journal: Journal, policy: Policy, rate: int
) -> Attempt:
    """Move the server to the other host."""

    async def prepare(guest: str, destination: str, policy: Policy) -> Move:
        request = Request(guest=guest, destination=destination, policy=policy, lab=lab.name)
        return await moves.prepare(request, journal)

    return await attempt(server, journal, policy, prepare, rate=rate, stage=say)


def tell(rule: Rule, done: Attempt) -> dict[str, Any]:
    """Return what is to be compared."""
    seen = done.observation
    phases = [sample.phase for sample in done.samples]
    return {
        "outcome": outcome_of(rule, done),
        "fate": done.outcome.fate,
        "by post-copy": Phase.POSTCOPY in phases or done.outcome.switched_at is not None,
        "total seconds": seconds_of(done),
        "longest freeze seconds": seen.longest_freeze_seconds,
        "guest-seconds lost": seen.guest_seconds_lost,
        "bytes": done.last_known.transferred_bytes,
        "passes": done.last_known.pass_number,
        "pages wrong": done.memory["pages_wrong"],
        "intact": done.intact,
    }


def outcome_of(rule: Rule, done: Attempt) -> str:
    """Say who ended it, and how."""
    if done.outcome.fate is Fate.COMPLETED:
        return "moved"
    if rule.policy is None and done.outcome.fate is Fate.CANCELLED and not done.outcome.error:
        return f"not moved: called off from here; Nova gives up at {rule.timeout_seconds} s"
    return f"not moved: {done.outcome.error or done.outcome.fate}"


def seconds_of(done: Attempt) -> float:
    """Return the time for which memory moved: QEMU's own, or as it was seen."""
    if (told := done.outcome.figures.total_seconds) is not None:
        return told
    moving = [sample.at for sample in done.samples if sample.phase is Phase.PRECOPY]
    return moving[-1] - moving[0] if moving else 0.0


def shown(value: object) -> str:
    """Return a figure for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return format_seconds(value)
    return format_bytes(value) if isinstance(value, int) and value > 10_000 else str(value)


def say(text: str) -> None:
    """Tell a person."""
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
