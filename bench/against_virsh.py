"""What supervising adds to a migration, against virsh with the same rule for the switch.

    .venv/bin/python bench/against_virsh.py web1 URI_A URI_B --virsh 'ssh root@a virsh' --runs 10

Moves a domain from A to B and back again, each time once by virsh (``--postcopy
--postcopy-after-precopy``) and once through the library (policy ``after-first-pass``), in turns, so
that a machine whose speed drifts is unfair to neither. Prints one JSON object: for both, minimum,
median and maximum of the time from the call to its return, connections included, and the median of
the differences pair by pair.

``--virsh`` is the command that runs virsh where URI_A and URI_B can be reached peer-to-peer.
"""

import argparse
import asyncio
import json
import shlex
import statistics
import subprocess
import sys
import time

import postcopy
from postcopy.migration import Fate


def by_virsh(virsh: list[str], guest: str, source: str, destination: str) -> float:
    """Move the guest with virsh and return the seconds that it took."""
    options = "--live --p2p --persistent --undefinesource --postcopy --postcopy-after-precopy"
    started = time.monotonic()
    subprocess.run(
        [*virsh, "-c", source, "migrate", *options.split(), guest, destination],
        check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return time.monotonic() - started


async def by_library(guest: str, source: str, destination: str) -> float:
    """Move the guest with this project and return the seconds that it took."""
    started = time.monotonic()
    async with postcopy.connect(source) as host:
        outcome = await host.guest(guest).migrate(destination, policy="after-first-pass")
    if outcome.fate is not Fate.COMPLETED:
        raise SystemExit(f"the migration is {outcome.fate}: {outcome.error}")
    return time.monotonic() - started


async def main() -> None:
    """Measure in turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("guest")
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--virsh", default="virsh", type=shlex.split)
    parser.add_argument("--runs", default=10, type=int)
    options = parser.parse_args()
    virsh, library = [], []
    for number in range(options.runs):
        # There by one and back by the other, and who goes first changes every time.
        ways = [(options.a, options.b), (options.b, options.a)]
        order = ["virsh", "library"] if number % 2 else ["library", "virsh"]
        for way, who in zip(ways, order, strict=True):
            if who == "virsh":
                virsh.append(await asyncio.to_thread(by_virsh, options.virsh, options.guest, *way))
            else:
                library.append(await by_library(options.guest, *way))
            await asyncio.sleep(1.0)
        print(f"{number + 1}: virsh {virsh[-1]:.2f} s, here {library[-1]:.2f} s", file=sys.stderr)
    differences = [ours - theirs for ours, theirs in zip(library, virsh, strict=True)]
    result = {
        "runs": options.runs,
        "virsh_seconds": spread(virsh),
        "library_seconds": spread(library),
        "median_difference_seconds": round(statistics.median(differences), 3),
    }
    print(json.dumps(result, indent=2))


def spread(values: list[float]) -> list[float]:
    """Return minimum, median and maximum."""
    return [round(f(values), 3) for f in (min, statistics.median, max)]


if __name__ == "__main__":
    asyncio.run(main())
