"""How far the simulator is from what benchmarks have measured of real guests.

    .venv/bin/python bench/simulator_against_lab.py oracle peers

Takes records of `postcopy bench run`, and simulates each guest that moved on the QEMU floor by each
method, from what the scenario says of it: nothing is fitted, neither the guest nor the link. Prints
a table of both, in Markdown, or one JSON object (`--json`).
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from postcopy.bench.compare import records_directory
from postcopy.bench.estimate import model_of
from postcopy.bench.method import Method
from postcopy.bench.record import Measured, Record
from postcopy.bench.scenario import Scenario
from postcopy.bench.statistics import quantile
from postcopy.forecast import End, Result, simulate
from postcopy.forecast.model import PAYLOAD
from postcopy.lab.services.service import SERVICES
from postcopy.migration.decision import Policy

# A guest in bursts is moved from so many moments of them.
BEGINNINGS = 8
POLL_SECONDS = 0.1
PRICE = 0.1


@dataclass(frozen=True)
class Both:
    """A guest and a method: the medians of what the simulator says, and of what was measured."""

    scenario: Scenario
    method: str
    runs: int
    total: tuple[float, float]
    lost: tuple[float, float]
    freeze: tuple[float, float]
    cost: tuple[float, float]


def compared(runs: Iterable[Measured]) -> Iterator[Both]:
    """Simulate what was measured, as far as the model has it and the guest was moved."""

    def what(run: Measured) -> tuple[str, str]:
        return run.scenario.name, run.method

    for _, group in groupby(sorted(runs, key=what), key=what):
        found = list(group)
        scenario, method = found[0].scenario, Method.parse(found[0].method)
        known = scenario.floor == "qemu" and scenario.workload not in SERVICES
        if known and method.policy is not None and all(run.ended for run in found):
            yield from _both(scenario, method, method.policy, found)


def _both(
    scenario: Scenario, method: Method, policy: Policy, runs: Sequence[Measured]
) -> Iterator[Both]:
    model = model_of(scenario, preempt=method.preempt)
    link = replace(model.link, bandwidth=PAYLOAD * model.link.bandwidth)
    bursts = model.guest.bursts
    count = 1 if bursts is None else BEGINNINGS
    results = []
    for i in range(count):
        guest = model.guest
        if bursts is not None:
            begins = replace(bursts, offset_seconds=i / count * bursts.period_seconds)
            guest = replace(guest, bursts=begins)
        world = replace(model, guest=guest, link=link, watched=method.text.startswith("adaptive"))
        results.append(simulate(world, policy, poll_seconds=POLL_SECONDS))
    if any(result.end not in (End.PRECOPY, End.POSTCOPY) for result in results):
        return

    def both(figure: Callable[[Result | Measured], float]) -> tuple[float, float]:
        return statistics.median(map(figure, results)), statistics.median(map(figure, runs))

    yield Both(
        scenario,
        method.text,
        len(runs),
        total=both(lambda one: one.total_seconds),
        lost=both(lambda one: one.guest_seconds_lost),
        freeze=both(lambda one: one.longest_freeze_seconds),
        cost=both(lambda one: one.cost(PRICE)),
    )


def summary(found: Sequence[Both]) -> dict[str, float | None]:
    """Return how far off the simulator is, in all that was compared."""
    off = {
        "total_error": [abs(s / m - 1) for s, m in (each.total for each in found)],
        "cost_error": [abs(s / m - 1) for s, m in (each.cost for each in found)],
        "freeze_factor": [max(s / m, m / s) for s, m in (each.freeze for each in found)],
    }
    told: dict[str, float | None] = {
        "guests_and_methods": len(found),
        "moves": sum(each.runs for each in found),
    }
    for what, values in off.items():
        told[f"{what}_median"] = quantile(values, 0.5)
        told[f"{what}_90th_percentile"] = quantile(values, 0.9)
    return told


def table(found: Sequence[Both]) -> str:
    """Return all of it, for people."""
    lines = [
        "| guest | method | total: simulated | measured | lost: simulated | measured |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for each in found:
        name = ", ".join((each.scenario.traits[0], *each.scenario.traits[2:-1]))
        figures = " | ".join(f"{one:.2f} s" for one in (*each.total, *each.lost))
        lines.append(f"| {name} | {each.method} | {figures} |")
    told = summary(found)
    error = "off by {:.1%} in the median, {:.1%} at the 90th percentile"
    total = error.format(told["total_error_median"], told["total_error_90th_percentile"])
    cost = error.format(told["cost_error_median"], told["cost_error_90th_percentile"])
    middle, most = told["freeze_factor_median"], told["freeze_factor_90th_percentile"]
    lines += [
        "",
        f"{told['moves']} moves of {told['guests_and_methods']} pairs of a guest and a method.",
        f"Total time is {total}; cost is {cost};",
        f"the longest freeze is right within a factor of {middle:.2f}, and {most:.2f}.",
    ]
    return "\n".join(lines)


def main() -> int:
    """Compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("records", nargs="+", help="names of records, as bench run gives them")
    parser.add_argument("--json", action="store_true", help="print one JSON object, no table")
    options = parser.parse_args()
    runs = []
    for name in options.records:
        runs += Record.existing(records_directory() / f"{name}.jsonl").runs
    found = list(compared(runs))
    if not found:
        raise SystemExit("nothing in these records can be simulated")
    print(json.dumps(summary(found), indent=2) if options.json else table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
