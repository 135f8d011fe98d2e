"""A forecast: the simulator, run over many worlds that agree with what is known."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import Any

from postcopy.forecast.inputs import Inputs
from postcopy.forecast.simulator import End, Result, Scenario, simulate
from postcopy.migration.decision import Policy

__all__ = ["Interval", "Method", "Outlook", "outlook"]

# What takes this much longer than sending everything once is taken never to end.
_PATIENCE_FACTOR, _PATIENCE_SECONDS = 15.0, 60.0


@dataclass(frozen=True, slots=True)
class Interval:
    """What a figure may come to: half of all cases are below `median`, 9 in 10 between the others.

    Infinite where a migration does not end.
    """

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Interval":
        """Return the interval of some values."""
        ordered = sorted(values)

        def at(share: float) -> float:
            place = share * (len(ordered) - 1)
            below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
            if math.isinf(above):
                return above if place > math.floor(place) or math.isinf(below) else below
            return below + (above - below) * (place - math.floor(place))

        return cls(at(0.05), at(0.5), at(0.95))

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Method:
    """One way to move a guest.

    :param policy: that decides.
    :param preempt: whether requested pages have a connection of their own.
    :param multifd: whether several connections share the load.
    :param auto_converge: whether the guest is throttled.
    :param samples_a_pass: how often the policy looks in each pass; 1 is at its end alone.
    :param watched: whether the guest is looked at meanwhile.
    """

    name: str
    policy: Policy
    preempt: bool = True
    multifd: bool = False
    auto_converge: bool = False
    samples_a_pass: int = 1
    watched: bool = False

    def world(self, scenario: Scenario, stream_bandwidth: float) -> Scenario:
        """Return the scenario as it is with this method."""
        link = scenario.link
        if not self.multifd:
            link = replace(link, bandwidth=min(link.bandwidth, stream_bandwidth))
        harm = replace(scenario.harm, preempt=self.preempt)
        return replace(
            scenario,
            link=link,
            harm=harm,
            auto_converge=self.auto_converge,
            watched=self.watched,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What one method would come to.

    :param ends: in how many of the worlds it ends, from 0 to 1.
    :param by_postcopy: in how many it ends in post-copy.
    :param cost: in guest-seconds, at the price that was asked for.
    """

    method: str
    ends: float
    by_postcopy: float
    total_seconds: Interval
    downtime_seconds: Interval
    longest_freeze_seconds: Interval
    guest_seconds_lost: Interval
    transferred_bytes: Interval
    risk_seconds: Interval
    cost: Interval

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values; None for what does not end."""
        return {
            key: {k: v if math.isfinite(v) else None for k, v in value.items()}
            if isinstance(value, dict)
            else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Outlook":
        """Read what `to_dict` wrote."""
        fields: dict[str, Any] = {
            key: Interval(**{k: math.inf if v is None else v for k, v in value.items()})
            if isinstance(value, dict)
            else value
            for key, value in data.items()
        }
        return cls(**fields)


def outlook(
    inputs: Inputs, methods: Sequence[Method], *, price: float, draws: int = 100, seed: int = 1
) -> list[Outlook]:
    """Return what each method would come to.

    All of them meet the same worlds, so that they can be compared; the same seed gives the same
    answer.
    """
    random = Random(seed)
    worlds = [(inputs.draw(random), inputs.stream_bandwidth.draw(random)) for _ in range(draws)]
    return [_foresee(method, worlds, price) for method in methods]


def _foresee(method: Method, worlds: Sequence[tuple[Scenario, float]], price: float) -> Outlook:
    results = []
    for scenario, stream in worlds:
        world = method.world(scenario, stream)
        size = world.guest.content_bytes + world.guest.disk_bytes
        patience = _PATIENCE_FACTOR * size / world.link.bandwidth + _PATIENCE_SECONDS
        results.append(
            simulate(
                world,
                method.policy,
                samples_a_pass=method.samples_a_pass,
                most_seconds=patience,
            )
        )

    ended = frozenset({End.PRECOPY, End.POSTCOPY})

    def interval(figure: Callable[[Result], float]) -> Interval:
        return Interval.of([figure(r) if r.end in ended else math.inf for r in results])

    return Outlook(
        method=method.name,
        ends=sum(r.end in ended for r in results) / len(results),
        by_postcopy=sum(r.end is End.POSTCOPY for r in results) / len(results),
        total_seconds=interval(lambda r: r.total_seconds),
        downtime_seconds=interval(lambda r: r.downtime_seconds),
        longest_freeze_seconds=interval(lambda r: r.longest_freeze_seconds),
        guest_seconds_lost=interval(lambda r: r.guest_seconds_lost),
        transferred_bytes=interval(lambda r: r.transferred_bytes),
        risk_seconds=interval(lambda r: r.risk_seconds),
        cost=interval(lambda r: r.cost(price)),
    )
