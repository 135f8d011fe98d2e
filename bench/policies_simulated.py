"""Run every policy on guests of 64 GiB and 1 TiB in the simulator, against the best hindsight.

    .venv/bin/python bench/policies_simulated.py [--json results.json]

The cost of a move is what its seconds are worth, at a price, and the guest-seconds lost. The oracle
is the cheapest of all fixed moments for a switch, none included; it is found by trying them. Prints
a table of costs as multiples of the oracle's, and what came of the claims; exit code 0 if all hold.
"""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from simulated_guests import drawn, scenarios

from postcopy.forecast import End, Guest, Scenario, simulate
from postcopy.forecast.curve import Observation
from postcopy.forecast.fit import fit
from postcopy.forecast.inputs import Dirtying
from postcopy.forecast.simulator import Result
from postcopy.forecast.watching import LOOKS_A_PASS
from postcopy.migration.decision import Action, Decision, History, Policy
from postcopy.plan.measured import WATCH_SECONDS, windows
from postcopy.policy import POLICIES, Adaptive, find

PRICE = Adaptive().price
# With its defaults Nova calls the move off, and KubeVirt as well: they are asked to force it.
SPECS = {"nova": "nova:timeout_action=force_complete"}
# Who compares one look with the one before has to look as often as in earnest.
POLLS = {"nova-newton": 0.5, "kubevirt-stall": 0.4, "virsh-timeout": 1.0}
OTHERS = tuple(rule for rule in POLICIES if rule != "adaptive")
BEGINS = (0.05, 0.25, 0.45, 0.65, 0.85)
# Of 64 GiB, one page of so many bytes is looked at.
SAMPLE_BYTES = 4 << 20
PERIODS, MOST_SECONDS = 3, 60.0
MEDIAN, WORST, BETTER, WORSE = 1.10, 1.25, 0.95, 1.5


@dataclass(frozen=True, slots=True)
class At:
    """Switch at one moment, whatever is so."""

    seconds: float
    name: str = "at"
    uses_postcopy: bool = True

    def decide(self, history: History) -> Decision:
        """Look at the clock."""
        latest = history.latest
        due = latest is not None and latest.at >= self.seconds - 1e-9
        return Decision(Action.SWITCH if due else Action.CONTINUE, "the clock says so")


def oracle(scenario: Scenario) -> float:
    """Return the cost of the best fixed moment."""
    guest = scenario.guest
    once = (guest.content_bytes + guest.disk_bytes) / scenario.link.bandwidth
    ends = _Ends()
    plain = simulate(scenario, ends, most_seconds=20 * once + 60)
    grid = [once * i / 12 for i in range(37)]
    moments = [0.0, *grid, *ends.seen[:25]]
    results = [
        simulate(scenario, At(moment), poll_seconds=once / 60, most_seconds=20 * once + 60)
        for moment in moments
    ]
    return min(_cost(each) for each in (plain, *results))


class _Ends:
    """Pre-copy that notes when its passes end."""

    name, uses_postcopy = "ends", False

    def __init__(self) -> None:
        self.seen: list[float] = []

    def decide(self, history: History) -> Decision:
        """Take notes, and go on."""
        if history.latest is not None and history.latest.pass_ended:
            self.seen.append(history.latest.at)
        return Decision(Action.CONTINUE, "")


def _cost(result: Result) -> float:
    return result.cost(PRICE) if result.end in (End.PRECOPY, End.POSTCOPY) else math.inf


@dataclass(frozen=True, slots=True)
class Row:
    """What every policy costs in one scenario, in guest-seconds; infinite where it never ends."""

    scenario: str
    oracle: float
    costs: dict[str, float]

    def ratio(self, policy: str) -> float:
        """Return a policy's cost as a multiple of the oracle's."""
        return self.costs[policy] / self.oracle

    def against(self, policy: str) -> float:
        """Return a policy's cost as a multiple of the adaptive one's."""
        return self.costs[policy] / self.costs["adaptive"]


def run(name: str, scenario: Scenario) -> Row:
    """Return what every policy costs; in the mean, where it is chance when a burst begins."""
    bursts = scenario.guest.bursts
    if bursts is None:
        return _run(name, scenario)
    rows = []
    for begin in BEGINS:
        shifted = replace(bursts, offset_seconds=begin * bursts.period_seconds)
        guest = replace(scenario.guest, bursts=shifted)
        rows.append(_run(name, replace(scenario, guest=guest)))
    costs = {rule: statistics.fmean(row.costs[rule] for row in rows) for rule in rows[0].costs}
    return Row(name, statistics.fmean(row.oracle for row in rows), costs)


def _run(name: str, scenario: Scenario) -> Row:
    """Move the guest of a scenario by every policy.

    The adaptive policy knows what ``postcopy plan`` would have measured of the guest beforehand;
    once more it runs without.
    """
    guest, preempt = scenario.guest, scenario.harm.preempt
    dirtying = measured(guest)
    policy = Adaptive(preempt=preempt)
    if dirtying.bursts is not None:
        rest = 1 - dirtying.bursts.duty
        policy = replace(policy, rest=rest, lull=rest * dirtying.bursts.period_seconds)
    looks = tuple((each.seconds, each.dirtied_bytes) for each in dirtying.looks)
    rules: dict[str, tuple[Policy, Scenario]] = {
        "adaptive": (policy, replace(scenario, looks=looks, watched=True)),
        "adaptive, unmeasured": (Adaptive(preempt=preempt), replace(scenario, watched=True)),
        "adaptive, unwatched": (policy, replace(scenario, looks=looks)),
    }
    for rule in OTHERS:
        rules[rule] = (find(SPECS.get(rule, rule)), scenario)
    costs = {
        rule: _cost(
            simulate(
                world,
                policy,
                poll_seconds=POLLS.get(rule),
                # Where looks tell something new all the time, samples are as many as those.
                samples_a_pass=LOOKS_A_PASS if world.watched and guest.bursts else 8,
                most_seconds=2e6,
            )
        )
        for rule, (policy, world) in rules.items()
    }
    return Row(name, oracle(scenario), costs)


def measured(guest: Guest) -> Dirtying:
    """Return what ``postcopy plan`` would take the guest for, had it watched it just before.

    It watches guests that rest for some of their periods, as ``--watch`` has it.
    """
    watch = WATCH_SECONDS
    if guest.bursts is not None:
        watch = min(max(watch, PERIODS * guest.bursts.period_seconds), MOST_SECONDS)
    seen = []
    at = -sum(windows(watch))
    for seconds in windows(watch):
        dirtied = guest.dirty(guest.active_seconds(at, at + seconds))
        seen.append(Observation(seconds, dirtied, math.sqrt(dirtied * SAMPLE_BYTES)))
        at += seconds
    return fit(seen, guest.memory_bytes, SAMPLE_BYTES)


def claims(rows: Sequence[Row]) -> dict[str, Any]:
    """Return what is claimed, what came of it, and the figures."""
    ratios = [row.ratio("adaptive") for row in rows]
    policies: dict[str, dict[str, Any]] = {}
    for rule in ("adaptive", "adaptive, unmeasured", "adaptive, unwatched", *OTHERS):
        least, most = (f(rows, key=lambda row: row.against(rule)) for f in (min, max))
        policies[rule] = {
            "ends": sum(math.isfinite(row.costs[rule]) for row in rows),
            "median_to_oracle": statistics.median(row.ratio(rule) for row in rows),
            "worst_to_oracle": max(row.ratio(rule) for row in rows),
            "best_to_adaptive": (least.against(rule), least.scenario),
            "worst_to_adaptive": (most.against(rule), most.scenario),
        }
    others = [policies[rule] for rule in OTHERS]
    held = {
        f"adaptive costs at most {MEDIAN} x the oracle in the median": statistics.median(ratios)
        <= MEDIAN,
        f"and at most {WORST} x at worst": max(ratios) <= WORST,
        "no other rule is better by more than 5 %": all(
            each["best_to_adaptive"][0] >= BETTER for each in others
        ),
        f"each other rule is at least {WORSE} x worse somewhere": all(
            each["worst_to_adaptive"][0] >= WORSE for each in others
        ),
    }
    return {"scenarios": len(rows), "policies": policies, "held": held}


def show(found: dict[str, Any]) -> None:
    """Print it for people."""

    def number(value: float) -> str:
        return f"{value:.2f}" if math.isfinite(value) else "never ends"

    print(f"{found['scenarios']} scenarios; costs as multiples\n")
    print("| policy | ends | of the oracle: median | worst | of adaptive: best | worst |")
    print("| --- | --- | --- | --- | --- | --- |")
    for rule, each in found["policies"].items():
        (best, where), (worst, _) = each["best_to_adaptive"], each["worst_to_adaptive"]
        at = f" ({where})" if best < 1 and rule in OTHERS else ""
        figures = (each["median_to_oracle"], each["worst_to_oracle"])
        print(
            f"| {rule} | {each['ends']} | {' | '.join(number(f) for f in figures)} |"
            f" {number(best)}{at} | {number(worst)} |"
        )
    print()
    for claim, holds in found["held"].items():
        print(f"{'yes' if holds else 'NO '} {claim}")


def main() -> int:
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draw", type=int, metavar="SEED", help="draw guests and links at random")
    parser.add_argument("--count", type=int, default=200, help="so many of them (200)")
    parser.add_argument("--json", type=Path, help="write every figure there, too")
    options = parser.parse_args()
    worlds = scenarios() if options.draw is None else drawn(options.draw, options.count)
    rows = [run(name, scenario) for name, scenario in worlds]
    found = claims(rows)
    show(found)
    if options.json:
        # JSON knows no infinity.
        figures = [
            {**asdict(row), "costs": {k: _finite(v) for k, v in row.costs.items()}} for row in rows
        ]
        options.json.write_text(json.dumps({"rows": figures, "held": found["held"]}, indent=1))
    return 0 if all(found["held"].values()) else 1


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


if __name__ == "__main__":
    sys.exit(main())
