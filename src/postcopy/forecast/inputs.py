"""What is known of a guest and a link before a migration, and how well."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from postcopy.errors import UsageError
from postcopy.forecast.curve import Curve, HotSet, Observation, through, weigh
from postcopy.forecast.model import Bursts, Guest, Harm, Link
from postcopy.forecast.simulator import Scenario
from postcopy.units import format_bytes

__all__ = ["Dirtying", "Inputs", "Known", "fit"]

# Of a normal distribution, 9 in 10 lie within so many standard deviations.
_NINETY = 1.645
# What page sampling misreads by, at best; measured.
_SAMPLING_ERROR = 0.12
# Windows of one length that differ by this factor are those of a guest that rests in between.
_UNEVEN = 3.0
# Longer looks at the same guest that find less than shorter ones did, by this factor, contradict
# them: no guest dirties less in more time.
_CONTRADICTION = 1.5
# Nothing is known worse than this.
_MOST_FACTOR = 100.0
# What one connection carries at most, bounded by one processor that reads and sends pages.
_STREAM_BANDWIDTH, _STREAM_FACTOR = 2.5e9, 1.6


@dataclass(frozen=True, slots=True)
class Known:
    """A quantity above 0, as well as it is known.

    :param factor: 9 times in 10 it is within this factor of `value`; 1 is exact.
    """

    value: float
    factor: float = 1.0

    def draw(self, random: Random) -> float:
        """Return one value that it may have."""
        if self.factor <= 1:
            return self.value
        return self.value * math.pow(self.factor, random.gauss(0.0, 1.0) / _NINETY)


@dataclass(frozen=True, slots=True)
class Dirtying:
    """How a guest may dirty its memory.

    :param curves: each with its likelihood; these sum to 1.
    :param factor: within which each of them is right, 9 times in 10.
    :param bursts: when the guest rests, if it does.
    :param notes: what there is to say of the measurement.
    """

    curves: tuple[tuple[Curve, float], ...]
    factor: float = 1.0
    bursts: Bursts | None = None
    notes: tuple[str, ...] = ()

    def draw(self, random: Random) -> Curve:
        """Return one curve that it may be."""
        chosen = random.choices(self.curves, [weight for _, weight in self.curves])[0][0]
        rate = Known(1.0, self.factor).draw(random)
        size = Known(1.0, math.sqrt(self.factor)).draw(random)
        return Curve(
            tuple(HotSet(s.size_bytes * size, s.rate * rate, s.sequential) for s in chosen.sets)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """All that a forecast is made of.

    :param content: the bytes of memory that are not zeros.
    :param bandwidth: that comes through, in bytes a second.
    :param looks: what was measured of the guest, for the policies to know as well.
    :param stream_bandwidth: what one connection carries at most, however fast the link.
    """

    memory_bytes: int
    content: Known
    dirtying: Dirtying
    bandwidth: Known
    round_trip: Known = Known(2e-4, 2.0)
    stream_bandwidth: Known = Known(_STREAM_BANDWIDTH, _STREAM_FACTOR)
    downtime_limit: float = 0.3
    disk_bytes: int = 0
    page_bytes: int = 4096
    looks: tuple[Observation, ...] = ()

    def __post_init__(self) -> None:
        if self.memory_bytes <= 0:
            raise UsageError("a guest without memory", hint="give its size: --memory 64GiB")
        if not 0 < self.bandwidth.value < math.inf:
            raise UsageError("a bandwidth of 0 moves nothing", hint="--bandwidth 10gbit")
        if not 0 < self.downtime_limit <= 2000:
            raise UsageError(
                f"a downtime limit of {self.downtime_limit} s makes no sense",
                hint="give seconds above 0 and at most 2000",
            )

    def draw(self, random: Random, *, preempt: bool = True) -> Scenario:
        """Return one world that agrees with what is known."""
        content = min(float(self.memory_bytes), self.content.draw(random))
        curve = self.dirtying.draw(random)
        if curve.size_bytes > content:
            shrink = content / curve.size_bytes
            sets = (HotSet(s.size_bytes * shrink, s.rate, s.sequential) for s in curve.sets)
            curve = Curve(tuple(sets))
        bursts = self.dirtying.bursts
        if bursts is not None:
            offset = random.uniform(0.0, bursts.period_seconds)
            bursts = Bursts(bursts.duty, bursts.period_seconds, offset)
        return Scenario(
            guest=Guest(
                memory_bytes=float(self.memory_bytes),
                content_bytes=content,
                dirty=curve,
                bursts=bursts,
                disk_bytes=float(self.disk_bytes),
                page_bytes=self.page_bytes,
            ),
            link=Link(
                bandwidth=self.bandwidth.draw(random), round_trip=self.round_trip.draw(random)
            ),
            harm=Harm(
                preempt=preempt,
                stop_seconds=Known(0.02, 2.0).draw(random),
                queue_bytes=Known(1.25e6, 1.5).draw(random),
                request_seconds=Known(1.5e-3, 2.5).draw(random),
                critical_pages=Known(85.0, 1.6).draw(random),
                read_rate=Known(200.0, 10.0).draw(random),
            ),
            downtime_limit=self.downtime_limit,
            looks=tuple((each.seconds, each.dirtied_bytes) for each in self.looks),
        )


def fit(
    seen: Sequence[Observation], memory_bytes: float, resolution_bytes: float = 0.0
) -> Dirtying:
    """Return how a guest may dirty its memory, after several looks.

    :param resolution_bytes: the least that a look could see.
    :raises UsageError: when there was none.
    """
    if not seen:
        raise UsageError("nothing was measured", hint="say how the guest writes: --dirty")
    notes: list[str] = []
    floor = max(resolution_bytes, 1.0)
    looks = [Observation(o.seconds, max(o.dirtied_bytes, floor / 2)) for o in seen]
    bursts, busy = _bursts(looks, floor)
    if bursts is not None:
        notes.append(
            f"it rests for {1 - bursts.duty:.0%} of the time, some"
            f" {(1 - bursts.duty) * bursts.period_seconds:.1f} s at a time"
        )
    factor = _disagreement(busy)
    if factor > _CONTRADICTION:
        notes.append("the measurements contradict each other: longer looks found less")
    longest = max(busy, key=lambda o: (o.seconds, o.dirtied_bytes))
    if longest.dirtied_bytes <= floor:
        notes.append(f"it dirties less than {format_bytes(floor)} in {longest.seconds:.1f} s")
    curves = through(longest, memory_bytes)
    weights = weigh(curves, [o for o in busy if o is not longest], _SAMPLING_ERROR)
    likely = [(c, w) for c, w in zip(curves, weights, strict=True) if w > 1e-3]
    total = sum(weight for _, weight in likely)
    return Dirtying(
        tuple((curve, weight / total) for curve, weight in likely),
        factor=min(max(1 + 2 * _SAMPLING_ERROR, factor), _MOST_FACTOR),
        bursts=bursts,
        notes=tuple(notes),
    )


def _disagreement(looks: Sequence[Observation]) -> float:
    """Return by what factor a longer look found less than a shorter one."""
    worst = 1.0
    for short in looks:
        for long in looks:
            if long.seconds > short.seconds:
                worst = max(worst, short.dirtied_bytes / long.dirtied_bytes)
    return worst


def _bursts(
    looks: Sequence[Observation], floor: float
) -> tuple[Bursts | None, Sequence[Observation]]:
    """Tell a guest that rests now and then, and return the looks at it while it wrote."""
    shortest = min(o.seconds for o in looks)
    short = [o for o in looks if o.seconds <= 1.2 * shortest]
    most = max(o.dirtied_bytes for o in short)
    resting = [o.dirtied_bytes < most / _UNEVEN for o in looks]
    if len(short) < 3 or not any(resting) or most < _UNEVEN * floor:
        return None, looks
    rests = sum(o.seconds for o, rest in zip(looks, resting, strict=True) if rest)
    share = rests / sum(o.seconds for o in looks)
    # Looks follow one another: rests in a row are one rest.
    lulls = sum(rest and not before for before, rest in pairwise((False, *resting)))
    lull = rests / lulls
    busy = [o for o, rest in zip(looks, resting, strict=True) if not rest and o in short]
    return Bursts(1 - share, lull / share), busy
