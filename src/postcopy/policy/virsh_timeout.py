"""What ``virsh migrate --timeout`` does: switch, or suspend the guest, after so many seconds."""

from dataclasses import dataclass
from typing import ClassVar

from postcopy.migration.decision import Action, Decision, History
from postcopy.policy.parameters import parameter
from postcopy.policy.polled import wait
from postcopy.units import format_seconds

__all__ = ["VirshTimeout"]


@dataclass(frozen=True, slots=True)
class VirshTimeout:
    """One moment, whatever the guest does. virsh has no default for it; a minute is this tool's."""

    name: ClassVar[str] = "virsh-timeout"

    timeout: float = parameter(60.0, "seconds after the start")
    action: str = parameter(
        "postcopy",
        "--timeout-postcopy, or --timeout-suspend, virsh's default",
        choices=("postcopy", "suspend"),
    )

    @property
    def uses_postcopy(self) -> bool:
        """Whether post-copy may come of it."""
        return self.action == "postcopy"

    def decide(self, history: History) -> Decision:
        """Look at the clock."""
        limit = format_seconds(self.timeout)
        if history.elapsed_seconds < self.timeout:
            return wait(f"{limit} after the start are not over")
        if self.uses_postcopy:
            return Decision(Action.SWITCH, f"{limit} after the start are over")
        if history.paused:
            return wait("the guest is suspended until it has moved")
        return Decision(Action.PAUSE, f"{limit} after the start are over")
