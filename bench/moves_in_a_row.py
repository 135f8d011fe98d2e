"""Move one busy guest to and fro, many times, and have it check its memory after each move.

    .venv/bin/python bench/moves_in_a_row.py --moves 50        (as root)

Prints one JSON object. Exit code 0 only if every move was completed, no page was ever wrong, and
the guest never rebooted or panicked. The supervisor's share of a core is this process's own CPU
time over the time that migrations ran.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from postcopy.lab.guest import LabGuest
from postcopy.lab.lab import Lab
from postcopy.lab.machine import GuestSpec
from postcopy.lab.move import LabMove
from postcopy.lab.observer import memory_verdict
from postcopy.lab.workload import Workload
from postcopy.migration import Fate, Journal, Outcome
from postcopy.migration.conduct import carry_out
from postcopy.policy import find

LAB = "bench"
GUEST = "traveller"


@dataclass
class Tally:
    """What the moves added up to."""

    outcomes: list[Outcome] = field(default_factory=list)
    pages_wrong: int = 0
    pages_checked: int = 0
    reboots: int = 0
    panics: int = 0
    freezes_seconds: list[float] = field(default_factory=list)
    cpu_shares: list[float] = field(default_factory=list)

    @property
    def flawless(self) -> bool:
        """Whether nothing at all went wrong."""
        completed = all(outcome.fate is Fate.COMPLETED for outcome in self.outcomes)
        return completed and not (self.pages_wrong or self.reboots or self.panics)

    def to_dict(self) -> dict[str, object]:
        """Return the tally as plain values, times as [minimum, median, maximum]."""
        latencies = [o.switch_latency_seconds for o in self.outcomes]
        return {
            "moves": len(self.outcomes),
            "completed": sum(outcome.fate is Fate.COMPLETED for outcome in self.outcomes),
            "by_postcopy": sum(outcome.switched_at is not None for outcome in self.outcomes),
            "pages_checked": self.pages_checked,
            "pages_wrong": self.pages_wrong,
            "reboots": self.reboots,
            "panics": self.panics,
            "total_seconds": spread([outcome.total_seconds for outcome in self.outcomes]),
            "switch_latency_seconds": spread([x for x in latencies if x is not None]),
            "longest_freeze_seconds": spread(self.freezes_seconds),
            "supervisor_share_of_a_core": spread(self.cpu_shares),
        }


def spread(values: list[float]) -> list[float] | None:
    """Return minimum, median and maximum."""
    if not values:
        return None
    return [round(f(values), 4) for f in (min, statistics.median, max)]


async def move(lab: Lab, guest: LabGuest, policy: str, journal: Journal, tally: Tally) -> None:
    """Move the guest to the host where it is not, and add what happened to the tally."""
    source = await guest.where()
    destination = next(name for name in guest.sides if name != source)
    found = find(policy)
    ready = await LabMove.prepare(lab, guest.spec.name, destination, postcopy=found.uses_postcopy)
    run = journal.begin(
        guest=guest.spec.name, source=source, destination=destination, policy=policy,
        driver=ready.record(), started_at=time.time(),
    )  # fmt: skip
    cpu, wall = time.process_time(), time.monotonic()
    outcome = await carry_out(ready, found, journal, run)
    tally.cpu_shares.append((time.process_time() - cpu) / (time.monotonic() - wall))
    tally.outcomes.append(outcome)
    await asyncio.sleep(1.2)
    seen = guest.observe(outcome.started_at, outcome.ended_at)
    memory = memory_verdict(seen, await guest.verify())
    tally.freezes_seconds.append(seen.longest_freeze_seconds)
    tally.pages_checked += memory["pages_checked"]
    tally.pages_wrong += memory["pages_wrong"]
    tally.reboots += memory["rebooted"] or not seen.uptime_continuous
    tally.panics += memory["panicked"]
    print(
        f"{len(tally.outcomes):4} {source} -> {destination}: {outcome.fate}"
        f" in {outcome.total_seconds:.2f} s, {memory['pages_wrong']} pages wrong",
        file=sys.stderr,
    )


async def main() -> int:
    """Play it all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moves", type=int, default=50)
    parser.add_argument("--policy", default="adaptive")
    parser.add_argument("--cold", type=int, default=96, metavar="MIB")
    parser.add_argument("--hot", type=int, default=64, metavar="MIB")
    options = parser.parse_args()
    lab, tally = Lab(LAB), Tally()
    await lab.up(progress=lambda stage: print(stage, file=sys.stderr))
    with tempfile.TemporaryDirectory() as place, Journal(Path(place) / "journal.sqlite") as journal:
        try:
            workload = Workload(cold_mib=options.cold, hot_mib=options.hot)
            guest = await LabGuest.start(lab, GuestSpec(name=GUEST, workload=workload), "alpha")
            for _ in range(options.moves):
                await move(lab, guest, options.policy, journal, tally)
        finally:
            await lab.down()
    print(json.dumps(tally.to_dict(), indent=2))
    return 0 if tally.flawless else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
