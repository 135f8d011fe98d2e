"""A guest to be moved, and what came of it."""

import enum
from dataclasses import dataclass

from postcopy.forecast.model import Guest, Harm, Link

__all__ = ["End", "Result", "Scenario"]


class End(enum.StrEnum):
    """How a simulated migration ends."""

    PRECOPY = "pre-copy"
    POSTCOPY = "post-copy"
    CANCELLED = "cancelled"
    NEVER = "never"
    """It would go on for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A guest to be moved over a link."""

    guest: Guest
    link: Link
    harm: Harm = Harm()  # noqa: RUF009 - frozen, and so no trap
    downtime_limit: float = 0.3
    auto_converge: bool = False
    looks: tuple[tuple[float, float], ...] = ()
    """What was measured of the guest before, as `History` takes it."""
    watched: bool = False
    """Whether the guest is looked at while it is migrated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of it. Seconds, bytes; infinite where it never ends."""

    end: End
    total_seconds: float
    downtime_seconds: float
    longest_freeze_seconds: float
    guest_seconds_lost: float
    transferred_bytes: float
    risk_seconds: float
    """How long the guest lived on two hosts at once."""
    passes: int
    switched_at: float | None
    reason: str
    """The last that the policy said."""

    def cost(self, price: float) -> float:
        """Return it in guest-seconds, a second of migration being worth `price` of them."""
        return price * self.total_seconds + self.guest_seconds_lost
