"""What a migration's course waits for, and what carries it."""

from collections.abc import Generator
from typing import NamedTuple, Protocol, TypeVar

from postcopy.forecast.scenario import Result

__all__ = ["Leg", "Steps", "Waiting", "Way"]

T = TypeVar("T")


class Way(Protocol):
    """What carries a guest: a `Link`, or a share of one. Moments are seconds since its start."""

    def at(self, seconds: float) -> float:
        """Return the bandwidth at a moment."""
        ...

    def sent(self, begin: float, end: float) -> float:
        """Return the bytes that go through between two moments."""
        ...

    def arrival(self, begin: float, size: float) -> float:
        """Return when bytes sent from `begin` on have all gone, as far as can be told now."""
        ...

    def even_since(self, begin: float) -> bool:
        """Return whether bandwidth has stayed what it is."""
        ...


class Leg(NamedTuple):
    """What a course waits for: that bytes have gone, or a moment, whichever comes first."""

    begin: float
    """From here on bytes count."""
    size_bytes: float
    """So many; infinite if only the moment counts."""
    earliest: float
    """They count as gone no sooner than this."""
    moment: float
    idle: bool = False
    """Nothing is sent meanwhile."""
    alike: bool = False
    """It holds only while bandwidth stays as it is."""


Waiting = Generator[Leg, tuple[float, bool], T]
"""Yields legs; is sent when each ended, and whether it did because its bytes have gone."""

Steps = Waiting[Result]
