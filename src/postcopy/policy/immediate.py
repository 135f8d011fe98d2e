"""Switch at once: no pass is sent first."""

from dataclasses import dataclass
from typing import ClassVar

from postcopy.migration.decision import Action, Decision, History

__all__ = ["Immediate"]


@dataclass(frozen=True, slots=True)
class Immediate:
    """The shortest total time, and the slowest start for the guest: every page is missing."""

    name: ClassVar[str] = "immediate"
    uses_postcopy: ClassVar[bool] = True

    def decide(self, history: History) -> Decision:
        """Switch."""
        return Decision(Action.SWITCH, "this policy switches at once")
