"""Check many hosts that are far away, and exist only as one recorded answer.

    .venv/bin/python bench/check_many.py --hosts 100 --latency 0.1 --work 2

Each answers what a real host answered, after the time that a connection, a command and the proofs
take there. Prints one JSON object; progress goes to standard error. Time is real.
"""

import argparse
import asyncio
import json
import resource
import sys
import time
from pathlib import Path

from postcopy.clock import SystemClock
from postcopy.doctor import Progress, examine, select
from postcopy.testing import FakeHost

RECORDED = Path(__file__).parents[1] / "tests/unit/doctor/answers/debian13-lab.json"


def show(now: Progress) -> None:
    """Say how far it is."""
    print(f"\r[{now.done}/{now.total}] {now.subject} ", end="", file=sys.stderr, flush=True)


async def main() -> int:
    """Check them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--latency", type=float, default=0.1, help="seconds, there and back")
    parser.add_argument("--work", type=float, default=2.0, help="seconds of a probe on its host")
    options = parser.parse_args()
    sections = json.loads(RECORDED.read_text())["sections"]
    clock = SystemClock()
    hosts = [
        FakeHost(f"node-{n}", sections, latency_seconds=options.latency / 2, clock=clock,
                 work_seconds=options.work, identity=str(n))
        for n in range(options.hosts)
    ]  # fmt: skip
    cpu, wall = time.process_time(), time.monotonic()
    done = await examine(hosts, select(), progress=show)
    seconds = time.monotonic() - wall
    print(file=sys.stderr)
    result = {
        "hosts": len(hosts),
        "findings": len(done.findings),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
