"""What is known of a guest and a link before a migration, and how well."""

import math
from dataclasses import dataclass
from random import Random

from postcopy.errors import UsageError
from postcopy.forecast.curve import Curve, HotSet, Observation
from postcopy.forecast.model import Bursts, Guest, Harm, Link
from postcopy.forecast.simulator import Scenario
from postcopy.forecast.turns import Turns, known

__all__ = ["Dirtying", "Inputs", "Known"]

# Of a normal distribution, 9 in 10 lie within so many standard deviations.
_NINETY = 1.645
_HARM = Harm()
# Pre-copy ends with so much of what may be left: QEMU looks now and then, measures its own
# bandwidth, and most of an idle guest's last memory is zeros.
_TAIL_SHARES = (0.4, 1.1)
# What a guest loses while pages come in is known within this factor, whatever else is known of it.
_SLOWING_FACTOR = 1.3
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
    :param factor: within which what they come to is right, 9 times in 10.
    :param bursts: when the guest rests, if it was seen to.
    :param turns: what turns it may take, seen or not; if None, those.
    :param notes: what there is to say of the measurement.
    :param looks: what was seen of the guest at work, for the policies to know as well.
    """

    curves: tuple[tuple[Curve, float], ...]
    factor: float = 1.0
    bursts: Bursts | None = None
    turns: Turns | None = None
    notes: tuple[str, ...] = ()
    looks: tuple[Observation, ...] = ()

    def draw(self, random: Random) -> tuple[Curve, Bursts | None]:
        """Return one curve that it may be, and turns that it may take."""
        bursts, pace = (self.turns or known(self.bursts)).draw(random)
        chosen = random.choices(self.curves, [weight for _, weight in self.curves])[0][0]
        much = Known(1.0, self.factor).draw(random)
        return Curve(
            tuple(
                HotSet(s.size_bytes * much, s.rate * much * pace, s.sequential) for s in chosen.sets
            )
        ), bursts


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """All that a forecast is made of.

    :param content: the bytes of memory that are not zeros.
    :param bandwidth: that comes through, in bytes a second.
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
        curve, bursts = self.dirtying.draw(random)
        if curve.size_bytes > content:
            shrink = content / curve.size_bytes
            sets = (HotSet(s.size_bytes * shrink, s.rate, s.sequential) for s in curve.sets)
            curve = Curve(tuple(sets))
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
                stop_seconds=Known(_HARM.stop_seconds, 2.0).draw(random),
                resume_seconds=Known(_HARM.resume_seconds, 1.8).draw(random),
                switch_seconds=Known(_HARM.switch_seconds, 5.0).draw(random),
                tail_share=random.uniform(*_TAIL_SHARES),
                queue_bytes=Known(_HARM.queue_bytes, 1.5).draw(random),
                request_bytes=Known(_HARM.request_bytes, 2.0).draw(random),
                request_seconds=Known(_HARM.request_seconds, 2.0).draw(random),
                critical_pages=Known(_HARM.critical_pages, 1.6).draw(random),
                read_rate=Known(_HARM.read_rate, 10.0).draw(random),
                sweep_place=random.random(),
                slowing=Known(_HARM.slowing, _SLOWING_FACTOR).draw(random),
            ),
            downtime_limit=self.downtime_limit,
            looks=tuple((each.seconds, each.dirtied_bytes) for each in self.dirtying.looks),
        )
