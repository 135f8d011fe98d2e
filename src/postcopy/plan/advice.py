"""Every method's outlook, which of them to choose, and why."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from postcopy.forecast.inputs import Inputs
from postcopy.forecast.outlook import Outlook, outlook
from postcopy.plan.methods import Offers, methods_for
from postcopy.policy import Adaptive, spec_of
from postcopy.units import format_seconds

__all__ = ["Plan", "make_plan"]

# Pre-copy alone puts no guest at risk: it is chosen if it costs no more than this against the best.
_PREFER_PRECOPY = 1.1
# What costs no more than this against the best is as good; the first of those is taken.
_AS_GOOD = 1.02
# What does not end in so many of the worlds is not advised.
_ENDS_SURELY = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to expect, and what to do.

    :param policy: the adaptive policy as it was reckoned with; what was measured is in it.
    :param advice: the name of a method.
    :param reason: why that one, in a sentence.
    """

    inputs: Inputs
    outlooks: tuple[Outlook, ...]
    policy: Adaptive
    advice: str
    reason: str
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    """How long the reckoning took."""

    def of(self, method: str) -> Outlook | None:
        """Return a method's outlook."""
        return next((each for each in self.outlooks if each.method == method), None)

    @property
    def options(self) -> str:
        """What to give to ``postcopy migrate`` for what is advised."""
        name, _, more = self.advice.partition(" with")
        text = f"--policy {spec_of(self.policy) if name == 'adaptive' else name}"
        extras = {"out preempt": " --no-preempt", " auto-converge": " --auto-converge"}
        return text + (extras.get(more, " --parallel") if more else "")

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        inputs = self.inputs
        return {
            "advice": self.advice,
            "reason": self.reason,
            "options": self.options,
            "price": self.policy.price,
            "inputs": {
                "memory_bytes": inputs.memory_bytes,
                "content_bytes": {"value": inputs.content.value, "factor": inputs.content.factor},
                "bandwidth": {"value": inputs.bandwidth.value, "factor": inputs.bandwidth.factor},
                "downtime_limit_seconds": inputs.downtime_limit,
                "dirtied_bytes": {
                    f"{seconds:g}": sum(
                        weight * curve(seconds) for curve, weight in inputs.dirtying.curves
                    )
                    for seconds in (0.1, 1.0, 10.0, 100.0)
                },
                "rest": self.policy.rest,
            },
            "notes": list(self.notes),
            "methods": [each.to_dict() for each in self.outlooks],
        }


def make_plan(
    inputs: Inputs,
    *,
    adaptive: Adaptive | None = None,
    offers: Offers | None = None,
    notes: Sequence[str] = (),
    draws: int = 100,
    seed: int = 1,
) -> Plan:
    """Forecast every method, and choose.

    :param adaptive: the policy with the price and the bounds that are wanted.
    :param offers: what both hypervisors can do; everything if None.
    """
    began = time.perf_counter()
    policy = adaptive or Adaptive()
    if (bursts := inputs.dirtying.bursts) is not None:
        lull = (1 - bursts.duty) * bursts.period_seconds
        policy = replace(policy, rest=round(1 - bursts.duty, 3), lull=round(lull, 3))
    methods = methods_for(inputs, policy, offers or Offers())
    found = outlook(inputs, methods, price=policy.price, draws=draws, seed=seed)
    advice, reason = _advise(found)
    return Plan(
        inputs=inputs,
        outlooks=tuple(found),
        policy=policy,
        advice=advice,
        reason=reason,
        notes=(*inputs.dirtying.notes, *notes),
        seconds=time.perf_counter() - began,
    )


def _advise(outlooks: Sequence[Outlook]) -> tuple[str, str]:
    surely = [each for each in outlooks if each.ends >= _ENDS_SURELY]
    if not surely:
        best = max(outlooks, key=lambda each: each.ends)
        return best.method, (
            f"{best.method} is the likeliest to end, in {best.ends:.0%} of all cases; nothing that"
            " was reckoned ends for sure"
        )
    least = min(each.cost.median for each in surely)
    best = next(each for each in surely if each.cost.median <= _AS_GOOD * least)
    plain = next((each for each in surely if each.method == "precopy"), None)
    if plain is not None and plain.cost.median <= _PREFER_PRECOPY * best.cost.median:
        return plain.method, (
            f"precopy ends by itself in {_span(plain.total_seconds.median)} with a stop of"
            f" {_span(plain.downtime_seconds.median)}, and never has the guest on two hosts"
        )
    return best.method, f"{_praise(best)}; {_compare(best, outlooks)}"


def _praise(best: Outlook) -> str:
    return (
        f"{best.method} ends in {_span(best.total_seconds.median)}, freezes the guest for"
        f" {_span(best.longest_freeze_seconds.median)} at a time and costs it"
        f" {_span(best.guest_seconds_lost.median)}"
    )


def _compare(best: Outlook, outlooks: Sequence[Outlook]) -> str:
    precopy = next((each for each in outlooks if each.method == "precopy"), None)
    if precopy is not None and precopy.ends < _ENDS_SURELY and best is not precopy:
        return f"precopy would end in {precopy.ends:.0%} of all cases"
    others = [o for o in outlooks if o is not best and math.isfinite(o.cost.median)]
    if not others:
        return "nothing else ends"
    next_best = min(others, key=lambda each: each.cost.median)
    if best.cost.median <= 0 or next_best.cost.median < 1.005 * best.cost.median:
        return f"{next_best.method} comes to the same"
    more = next_best.cost.median / best.cost.median - 1
    return f"the next best, {next_best.method}, costs {more:.0%} more"


def _span(seconds: float) -> str:
    return format_seconds(seconds) if math.isfinite(seconds) else "no finite time"
