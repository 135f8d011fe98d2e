"""Never switch: plain pre-copy, which ends only if the guest lets it."""

from dataclasses import dataclass
from typing import ClassVar

from postcopy.migration.decision import Action, Decision, History
from postcopy.policy.parameters import parameter
from postcopy.units import format_bytes

__all__ = ["Precopy"]


@dataclass(frozen=True, slots=True)
class Precopy:
    """Send pass after pass."""

    name: ClassVar[str] = "precopy"
    uses_postcopy: ClassVar[bool] = False

    give_up_after: int | None = parameter(
        None, "passes in a row without progress until it is called off", least=1
    )
    min_shrink: float = parameter(0.1, "how much smaller a pass must be to count, as a share")

    def decide(self, history: History) -> Decision:
        """Go on, or give up once the last passes have plainly stopped shrinking."""
        if self.give_up_after is None:
            return Decision(Action.CONTINUE, "this policy never switches")
        stuck = self._passes_without_progress(history)
        if stuck >= self.give_up_after:
            left = format_bytes(history.passes[-1].remaining_bytes)
            return Decision(
                Action.CANCEL, f"{stuck} passes in a row have not shrunk: {left} are left each time"
            )
        return Decision(Action.CONTINUE, f"{stuck} of {self.give_up_after} passes without progress")

    def _passes_without_progress(self, history: History) -> int:
        stuck = 0
        for before, after in zip(history.passes, history.passes[1:], strict=False):
            shrunk = after.remaining_bytes < before.remaining_bytes * (1 - self.min_shrink)
            stuck = 0 if shrunk else stuck + 1
        return stuck
