"""Switch when every page has been sent once: the recipe of 2014."""

from dataclasses import dataclass
from typing import ClassVar

from postcopy.migration.decision import Action, Decision, History
from postcopy.units import format_bytes

__all__ = ["AfterFirstPass"]


@dataclass(frozen=True, slots=True)
class AfterFirstPass:
    """One pass, then post-copy; what ``virsh migrate --postcopy-after-precopy`` does."""

    name: ClassVar[str] = "after-first-pass"
    uses_postcopy: ClassVar[bool] = True

    def decide(self, history: History) -> Decision:
        """Switch once the first pass has ended, also when its end itself was not seen."""
        latest = history.latest
        # Attached later, the end of the first pass may have gone by unseen.
        if latest is not None and (history.passes or latest.pass_number > 1):
            left = format_bytes(latest.remaining_bytes)
            return Decision(Action.SWITCH, f"the first pass has ended, {left} are left")
        return Decision(Action.CONTINUE, "the first pass is under way")
