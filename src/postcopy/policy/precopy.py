"""Never switch: plain pre-copy, which ends only if the guest lets it."""

from dataclasses import dataclass

from postcopy.migration.decision import Action, Decision, History
from postcopy.units import format_bytes

__all__ = ["Precopy"]


@dataclass(frozen=True, slots=True)
class Precopy:
    """Send pass after pass.

    :param give_up_after: cancel when this many passes in a row have not shrunk; None never does.
    :param min_shrink: the part by which a pass must be smaller than the one before to count.
    """

    give_up_after: int | None = None
    min_shrink: float = 0.1
    name: str = "precopy"
    uses_postcopy: bool = False

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
