"""Supervise many migrations in one process, of guests that exist only as arithmetic.

    .venv/bin/python bench/many_at_once.py --guests 20
    .venv/bin/python bench/many_at_once.py --guests 1000

Prints one JSON object: this process's share of a core while they ran in real time, and the most
memory that it held. Each is journalled, and sampled as often as a real one.
"""

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from postcopy.clock import SystemClock
from postcopy.migration import Fate, Journal, Outcome, Supervisor
from postcopy.policy import Adaptive
from postcopy.testing import FakeDriver, FakeGuest


async def move(number: int, journal: Journal) -> Outcome:
    """Move one made-up guest in real time."""
    clock = SystemClock()
    run = journal.begin(
        guest=f"guest-{number}", source="a", destination="b", policy="adaptive", driver={},
        started_at=clock.now(),
    )  # fmt: skip
    driver = FakeDriver(FakeGuest(total_bytes=700_000_000), clock)
    return await Supervisor(driver, Adaptive(), journal=journal, run_id=run.id).run()


async def main() -> int:
    """Move them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--guests", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, Journal(Path(place) / "journal.sqlite") as journal:
        cpu, wall = time.process_time(), time.monotonic()
        outcomes = await asyncio.gather(*(move(n, journal) for n in range(options.guests)))
        share = (time.process_time() - cpu) / (time.monotonic() - wall)
    completed = sum(outcome.fate is Fate.COMPLETED for outcome in outcomes)
    result = {
        "guests": options.guests,
        "completed": completed,
        "share_of_a_core": round(share, 4),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(result, indent=2))
    return 0 if completed == options.guests else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
