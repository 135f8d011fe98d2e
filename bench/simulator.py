"""How long the simulator, a forecast and a decision take on one core.

    .venv/bin/python bench/simulator.py

Moves 10,000 guests drawn at random, of 1 GiB to 12 TiB over 1 to 400 Gb/s, by the adaptive policy;
drains a host of thousands over one link, and forty hosts into forty others; makes a forecast over
400 Gb/s; takes decisions at the ends of passes. Prints one JSON object; times are of this process
on its processor, so that a busy machine spoils them less.
"""

import argparse
import json
import sys
import time
from random import Random

from postcopy.forecast import (
    Curve,
    End,
    Guest,
    HotSet,
    Link,
    Move,
    Scenario,
    simulate,
    simulate_together,
)
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


def together(guests: int, hosts: int, at_once: int) -> dict[str, float]:
    """Move guests of 1 to 64 GiB from hosts to as many others, each with 25 Gb/s; time it."""
    random, link = Random(2), Link(bandwidth=25 * GBIT)
    moves = []
    for i in range(guests):
        memory = GIB * 64 ** random.random()
        content = memory * random.uniform(0.3, 1.0)
        hot = content * 0.001 ** random.random()
        curve = Curve((HotSet(hot, link.bandwidth * random.choice((0.01, 0.05, 0.2, 0.5, 2.0))),))
        guest = Guest(memory_bytes=memory, content_bytes=content, dirty=curve)
        over = (f"from {i % hosts}", f"to {i // hosts % hosts}")
        moves.append(Move(scenario=Scenario(guest=guest, link=link), policy=Adaptive(), over=over))
    links = {f"{way} {i}": link for way in ("from", "to") for i in range(hosts)}
    began = time.process_time()
    done = simulate_together(moves, links, at_once=at_once, samples_a_pass=1)
    return {
        "guests": guests,
        "at_once": at_once,
        "seconds": round(time.process_time() - began, 2),
        "makespan_seconds": round(done.makespan_seconds),
        "guest_seconds_lost": round(done.guest_seconds_lost),
    }


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
        "together": {
            "one host": together(5000, 1, 8),
            "one host, all at once": together(5000, 1, 5000),
            "forty hosts": together(2000, 40, 160),
        },
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
