"""Forecast real migrations in the lab before they start, and see what comes.

    .venv/bin/python bench/forecast_accuracy.py --scenarios 20 --out forecast.jsonl     (as root)

Each scenario is a guest and a link drawn at random from a seed. The guest is measured, the way is
measured, every method is forecast; then it really moves: first by pre-copy alone, which is called
off once it has been seen not to converge, and then by a method that is drawn, too.

Results go to a file, a line a scenario; those that are in it already are not run again, so a run
that was broken off is gone on with, and one that is done shows its figures again. Prints a table,
or one JSON object with ``--json``.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from forecast_figures import Results, summary, table

from postcopy.forecast.fit import fit
from postcopy.forecast.inputs import Inputs, Known
from postcopy.hosts.bandwidth import measure_way
from postcopy.lab.guest import LabGuest
from postcopy.lab.lab import Lab
from postcopy.lab.machine import GuestSpec
from postcopy.lab.move import LabMove
from postcopy.lab.observer import baseline_seconds
from postcopy.lab.workload import Workload
from postcopy.migration import Journal
from postcopy.migration.conduct import carry_out
from postcopy.migration.decision import Action, Decision, History, Policy
from postcopy.plan import Plan, make_plan
from postcopy.policy import AfterFirstPass, Immediate, find
from postcopy.qemu.measure import measure

LAB = "forecast"
GUEST = "drawn"
MBIT = 125_000
WARM_SECONDS, SETTLE_SECONDS = 2.0, 1.3


@dataclass(frozen=True)
class Scenario:
    """A guest, a link, and how it is moved the second time."""

    number: int
    cold_mib: int
    hot_mib: int
    rate: int
    pattern: str
    mbit: int
    method: str
    downtime: float

    @property
    def workload(self) -> Workload:
        """What the guest does."""
        return Workload(self.cold_mib, self.hot_mib, self.rate, self.pattern)


def draw(seed: int, number: int) -> Scenario:
    """Draw a scenario."""
    random = Random(f"{seed}/{number}")
    pattern = random.choices(("random", "sequential", "bursts"), (6, 2, 2))[0]
    if pattern == "bursts":
        pattern = (
            f"bursts:{random.choice((20, 30, 50, 70))}:{random.choice((500, 1000, 2000, 4000))}"
        )
    flat_out = random.random() < 0.3
    return Scenario(
        number=number,
        cold_mib=round(64 * 6 ** random.random()),
        hot_mib=round(16 * 12 ** random.random()),
        rate=0 if flat_out else round(300 * 130 ** random.random()),
        pattern=pattern,
        mbit=round(200 * 5 ** random.random()),
        method=random.choices(("adaptive", "after-first-pass", "immediate"), (2, 1, 1))[0],
        downtime=random.choice((0.1, 0.3, 0.5)),
    )


@dataclass(frozen=True, slots=True)
class Trial:
    """Pre-copy alone; called off when its passes have not come down for a long time."""

    name: ClassVar[str] = "precopy"
    uses_postcopy: ClassVar[bool] = False

    patience_passes: int = 8
    patience_seconds: float = 8.0

    def decide(self, history: History) -> Decision:
        """Call it off when neither passes nor seconds bring anything any more."""
        left = [one.remaining_bytes for one in history.passes]
        if not left:
            return Decision(Action.CONTINUE, "the first pass")
        best = next(i for i, each in enumerate(left) if each <= 1.05 * min(left))
        since = history.passes[-1].at - history.passes[best].at
        if len(left) - best > self.patience_passes and since > self.patience_seconds:
            return Decision(Action.CANCEL, "it does not converge")
        return Decision(Action.CONTINUE, "it may converge")


async def forecast(lab: Lab, guest: LabGuest, scenario: Scenario) -> Plan:
    """Measure the guest and the way, and forecast."""
    where = await guest.where()
    measured = await measure(guest.sides[where].endpoint.monitor, GUEST)
    there = lab.host(next(name for name in guest.sides if name != where))
    way = await measure_way(lab.host(where).access(), there.access(), there.data_address)
    inputs = Inputs(
        memory_bytes=measured.memory_bytes,
        content=measured.content,
        dirtying=fit(measured.seen, measured.memory_bytes, measured.resolution_bytes),
        bandwidth=Known(way.bandwidth, 1.05),
        downtime_limit=scenario.downtime,
    )
    return make_plan(inputs, offers=measured.offers)


async def move(
    lab: Lab, guest: LabGuest, scenario: Scenario, plan: Plan, method: str, journal: Journal
) -> dict[str, Any]:
    """Move the guest to the host where it is not, and return what was expected and what came."""
    policy: Policy = Trial() if method == "precopy" else _policy(method, plan)
    before = baseline_seconds(guest.spec.workload.bursts)
    await asyncio.sleep(before)
    undisturbed = time.time()
    source = await guest.where()
    destination = next(name for name in guest.sides if name != source)
    ready = await LabMove.prepare(
        lab, GUEST, destination, postcopy=policy.uses_postcopy, downtime_limit=scenario.downtime
    )
    run = journal.begin(
        guest=GUEST, source=source, destination=destination, policy=method,
        driver=ready.record(), started_at=time.time(),
    )  # fmt: skip
    outcome = await carry_out(
        ready, policy, journal, run, downtime_limit=scenario.downtime,
        looks=[(each.seconds, each.dirtied_bytes) for each in plan.inputs.dirtying.looks],
    )  # fmt: skip
    await asyncio.sleep(max(0.0, outcome.ended_at + SETTLE_SECONDS - time.time()))
    seen = guest.observe(outcome.started_at, outcome.ended_at, undisturbed, before)
    expected = plan.of(method)
    assert expected is not None
    return {
        "method": method,
        "expected": expected.to_dict(),
        "fate": str(outcome.fate),
        "total_seconds": outcome.total_seconds,
        "downtime_seconds": outcome.figures.downtime_seconds,
        "transferred_bytes": outcome.figures.transferred_bytes,
        "switched_seconds": outcome.switched_at and outcome.switched_at - outcome.started_at,
        "longest_freeze_seconds": seen.longest_freeze_seconds,
        "guest_seconds_lost": seen.guest_seconds_lost,
        "baseline_rate": seen.baseline_rate,
        "started_at": outcome.started_at,
        "passes": [
            [s.at, s.pass_number, s.remaining_bytes, s.transferred_bytes, s.bandwidth, s.phase]
            for s in journal.samples(run.id)
            if s.pass_ended or s.phase != "precopy"
        ],
    }


def _policy(method: str, plan: Plan) -> Policy:
    known: dict[str, Policy] = {
        "adaptive": plan.policy,
        "after-first-pass": AfterFirstPass(),
        "immediate": Immediate(),
    }
    return known.get(method) or find(method)


async def play(lab: Lab, scenario: Scenario, journal: Journal) -> dict[str, Any]:
    """Play one scenario."""
    await lab.link().set_rate(scenario.mbit * MBIT)
    guest = await LabGuest.start(lab, GuestSpec(name=GUEST, workload=scenario.workload), "alpha")
    try:
        await asyncio.sleep(WARM_SECONDS)
        moves = []
        for method in ("precopy", scenario.method):
            began = time.monotonic()
            plan = await forecast(lab, guest, scenario)
            seconds = time.monotonic() - began
            moves.append(await move(lab, guest, scenario, plan, method, journal))
            moves[-1] |= {"plan_seconds": seconds, "plan": plan.to_dict()["inputs"]}
            moves[-1]["looks"] = [[o.seconds, o.dirtied_bytes] for o in plan.inputs.dirtying.looks]
            moves[-1]["notes"] = list(plan.notes)
            tell(scenario, moves[-1])
        return {"scenario": asdict(scenario), "moves": moves}
    finally:
        await guest.stop()


def tell(scenario: Scenario, one: dict[str, Any]) -> None:
    """Say on standard error how one move went."""
    total = one["expected"]["total_seconds"]
    wanted = " ".join("-" if v is None else f"{v:.2f}" for v in total.values())
    print(
        f"{scenario.number:3} {one['method']:16} {scenario.pattern:16} {scenario.hot_mib:4} MiB at"
        f" {scenario.rate:6}/s {scenario.mbit:5} Mb/s: expected {wanted},"
        f" came {one['total_seconds']:.2f} s {one['fate']}",
        file=sys.stderr,
    )


async def main() -> int:
    """Play what is missing, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenarios", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("forecast_accuracy.jsonl"))
    parser.add_argument("--json", action="store_true", help="print one JSON object, no table")
    options = parser.parse_args()
    wanted = {n: draw(options.seed, n) for n in range(1, options.scenarios + 1)}
    results = Results(options.out, {number: asdict(one) for number, one in wanted.items()})
    if results.missing:
        await play_missing(results, wanted)
    found = summary(results.done)
    print(json.dumps(found, indent=2) if options.json else table(found))
    return 0


async def play_missing(results: Results, wanted: Mapping[int, Scenario]) -> None:
    """Play what the file does not hold, in a lab of its own."""
    lab = Lab(LAB)
    await lab.up()
    with tempfile.TemporaryDirectory() as place, Journal(Path(place) / "j.sqlite") as journal:
        try:
            for number in results.missing:
                results.add(await play(lab, wanted[number], journal))
        finally:
            await lab.down()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
