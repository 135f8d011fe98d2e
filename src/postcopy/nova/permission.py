"""What Nova's ``force_complete`` will do: post-copy where nova.conf permits it, or else a pause.

Nova's API does not tell which. It depends on the nova.conf of the compute host that the guest
leaves, as it was when nova-compute read it.
"""

import enum
from dataclasses import dataclass

from postcopy.nova.facts import NovaFacts

__all__ = ["Permission", "Effect", "NOT_KNOWN", "GIVEN"]

OPTION = "live_migration_permit_post_copy"


class Effect(enum.StrEnum):
    """What a switch does to the guest."""

    POSTCOPY = "post-copy"
    PAUSE = "pause"
    """It stands still until all of it is copied, which takes as long as what is left takes."""
    EITHER = "post-copy or pause"
    """Nobody knows."""


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether post-copy is permitted where the guest is now, and how one knows.

    :ivar because: who says so; for people.
    """

    effect: Effect
    because: str

    def __str__(self) -> str:
        return f"{self.effect}: {self.because}"

    def record(self) -> dict[str, str]:
        """Return it as plain JSON values."""
        return {"effect": self.effect, "because": self.because}

    @classmethod
    def of_record(cls, record: dict[str, str]) -> "Permission":
        """Read what `record` wrote."""
        return cls(Effect(record["effect"]), record["because"])

    @classmethod
    def of_facts(cls, host: str, facts: NovaFacts) -> "Permission":
        """Read a compute host's nova.conf, as nova-compute there has read it."""
        if not facts.compute:
            return cls(Effect.EITHER, f"{host} is no compute host of Nova's")
        if facts.stale:
            files = ", ".join(facts.stale)
            return cls(
                Effect.EITHER,
                f"on {host}, {files} has changed since nova-compute was started there",
            )
        permitted = bool(facts.configuration.value(OPTION))
        effect = Effect.POSTCOPY if permitted else Effect.PAUSE
        return cls(effect, f"{OPTION} is {str(permitted).lower()} on {host}")

    @classmethod
    def of_behaviour(cls, run: int, *, paused: bool) -> "Permission":
        """Conclude from an earlier run what the same host did."""
        if paused:
            return cls(Effect.PAUSE, f"Nova paused the guest there in run {run}")
        return cls(Effect.POSTCOPY, f"Nova went over to post-copy there in run {run}")


NOT_KNOWN = Permission(Effect.EITHER, f"Nova's API does not tell {OPTION}, and nobody looked")
GIVEN = Permission(Effect.POSTCOPY, "--postcopy-permitted says so")
