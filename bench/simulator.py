"""How long the simulator, a forecast and a decision take on one core.

    .venv/bin/python bench/simulator.py

Moves 10,000 guests drawn at random, of 1 GiB to 12 TiB over 1 to 400 Gb/s, by the adaptive policy;
makes a forecast over 400 Gb/s; takes decisions at the ends of passes. Prints one JSON object; times
are of this process on its processor, so that a busy machine spoils them less.
"""

import argparse
import json
import sys
import time
from random import Random

from postcopy.forecast import Curve, End, Guest, HotSet, Link, Scenario, simulate
from postcopy.forecast.curve import Observation
from postcopy.forecast.fit import fit
from postcopy.forecast.inputs import Inputs, Known
from postcopy.migration.decision import Decision, History
from postcopy.plan import make_plan
from postcopy.policy import Adaptive

GIB, GBIT = 1 << 30, 1e9 / 8


def draw(random: Random) -> Scenario:
    """Draw a guest and a link."""
    memory = GIB * 12288 ** random.random()
    content = memory * random.uniform(0.3, 1.0)
    bandwidth = GBIT * 400 ** random.random()
    hot = content * 0.001 ** random.random()
    curve = Curve((HotSet(hot, bandwidth * random.choice((0.1, 0.5, 0.9, 2.0, 8.0))),))
    return Scenario(
        guest=Guest(memory_bytes=memory, content_bytes=content, dirty=curve),
        link=Link(bandwidth=bandwidth),
    )


class Timed:
    """A policy, and how long each of its decisions takes."""

    name, uses_postcopy = "timed", True

    def __init__(self, policy: Adaptive) -> None:
        self.policy = policy
        self.seconds: list[float] = []

    def decide(self, history: History) -> Decision:
        """Decide, and look at the clock."""
        began = time.process_time()
        decision = self.policy.decide(history)
        self.seconds.append(time.process_time() - began)
        return decision


def forecast_seconds(bandwidth: float, most_gib: int) -> float:
    """Return how long a forecast takes."""
    truth = Curve((HotSet(0.05 * most_gib * GIB, 2 * bandwidth),))
    seen = [Observation(t, truth(t)) for t in (2.0, 0.5, 0.1, 0.5, 0.2)]
    inputs = Inputs(
        memory_bytes=most_gib * GIB,
        content=Known(0.7 * most_gib * GIB, 1.02),
        dirtying=fit(seen, most_gib * GIB, 1e6),
        bandwidth=Known(bandwidth, 1.05),
    )
    began = time.process_time()
    make_plan(inputs)
    return time.process_time() - began


def main() -> int:
    """Time it all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--guests", type=int, default=10_000)
    options = parser.parse_args()
    random = Random(1)
    worlds = [draw(random) for _ in range(options.guests)]
    policy = Adaptive()
    began = time.process_time()
    ends = [simulate(world, policy, samples_a_pass=1).end for world in worlds]
    simulated = time.process_time() - began
    timed = Timed(policy)
    for world in worlds[:500]:
        simulate(world, timed, samples_a_pass=1)
    taken = sorted(timed.seconds)
    forecasts = sorted(
        forecast_seconds(gbit * GBIT, gib)
        for gbit, gib in ((1, 1), (10, 64), (100, 1024), (400, 1024), (400, 12288))
        for _ in range(3)
    )
    result = {
        "migrations": options.guests,
        "seconds": round(simulated, 2),
        "by_precopy": sum(end is End.PRECOPY for end in ends),
        "by_postcopy": sum(end is End.POSTCOPY for end in ends),
        "decision_ms": {
            "median": round(1000 * taken[len(taken) // 2], 3),
            "99th_percentile": round(1000 * taken[len(taken) * 99 // 100], 3),
        },
        "forecast_seconds": {
            "median": round(forecasts[len(forecasts) // 2], 3),
            "most": round(forecasts[-1], 3),
        },
    }
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
