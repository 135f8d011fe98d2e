"""How long runs will take, by the project's own model: for plans, and for the time that is left."""

import math
from collections.abc import Iterable

from postcopy.bench.execute import BESIDE_SECONDS
from postcopy.bench.method import Method
from postcopy.bench.moment import Bounded, Moment
from postcopy.bench.scenario import Scenario
from postcopy.bench.suite import Planned
from postcopy.forecast import simulator
from postcopy.forecast.curve import Curve, HotSet
from postcopy.forecast.model import Guest, Harm, Link
from postcopy.lab.services.service import SERVICES
from postcopy.policy import AfterFirstPass

__all__ = ["expected_seconds", "model_of", "patience_for", "seconds_of"]

# A guest of the lab is up after this, and then fills its memory.
_BOOT_SECONDS = 4.0
# What the guest's kernel holds besides the workload, measured with Debian 13's.
_KERNEL_BYTES = 75e6
# An emulated vCPU that rewrites pages flat out, in bytes a second: a page counts whole.
_FLAT_OUT = 8e9
# What QEMU sends over a link without a limit, beside an emulated guest on two processors.
_UNSHAPED = 3e8
# What an emulated server dirties, in bytes a second.
_SERVER_RATE = 4e6
# And what it takes to hold a byte.
_SERVER_FACTOR = 1.5
# A slow link gets time for at least so many first passes.
_PASSES = 2.5


def model_of(scenario: Scenario, *, preempt: bool = True) -> simulator.Scenario:
    """Return the model's idea of a scenario, from its parameters alone."""
    workload = scenario.workload_spec
    hot = float(scenario.hot_bytes)
    rate = float(workload.rate * 4096) or _FLAT_OUT * scenario.vcpus
    content = scenario.memory_bytes + _KERNEL_BYTES
    if (service := SERVICES.get(scenario.workload)) is not None:
        hot, rate = float(scenario.memory_bytes), _SERVER_RATE
        content = _SERVER_FACTOR * scenario.memory_bytes + (service.base_mib << 20) + _KERNEL_BYTES
    sets = (HotSet(hot, rate, workload.pattern == "sequential"),) if hot else ()
    return simulator.Scenario(
        guest=Guest(
            memory_bytes=float(scenario.guest_spec("b").memory_mib << 20),
            content_bytes=content,
            dirty=Curve(sets),
            bursts=workload.bursts,
        ),
        link=Link(bandwidth=min(float(scenario.link or math.inf), _UNSHAPED)),
        harm=Harm(preempt=preempt),
        downtime_limit=scenario.downtime_limit,
    )


def patience_for(scenario: Scenario, patience: float) -> float:
    """Return after how many seconds a move is called off: a suite's patience, or what the link
    takes for two and a half first passes where that is longer."""
    model = model_of(scenario)
    return max(patience, _PASSES * model.guest.content_bytes / model.link.bandwidth)


def seconds_of(scenario: Scenario, method: Method, patience: float) -> float:
    """Return how long one run will take, with what comes before and after the move."""
    policy = method.policy or (
        Moment(seconds=float(method.virsh[2])) if "--timeout" in method.virsh else AfterFirstPass()
    )
    patience = patience_for(scenario, patience)
    result = simulator.simulate(
        model_of(scenario, preempt=method.preempt), Bounded(policy, patience), poll_seconds=0.1
    )
    return BESIDE_SECONDS + min(result.total_seconds, 2 * patience)


def expected_seconds(runs: Iterable[Planned], patience: float) -> list[float]:
    """Return how long each of several runs in a row will take, booting their guests included."""
    known: dict[tuple[Scenario, str], float] = {}
    expected, before = [], None
    for run in runs:
        what = run.scenario, run.method.text
        if what not in known:
            known[what] = seconds_of(run.scenario, run.method, patience)
        expected.append(known[what] + (_BOOT_SECONDS if run.scenario != before else 0.0))
        before = run.scenario
    return expected
