"""What QEMU's own benchmark (tests/migration/guestperf) does: switch at the fifth pass."""

from dataclasses import dataclass
from typing import ClassVar

from postcopy.migration.decision import Action, Decision, History
from postcopy.policy.parameters import parameter
from postcopy.policy.polled import limit_downtime, wait
from postcopy.units import format_seconds

__all__ = ["Guestperf"]


@dataclass(frozen=True, slots=True)
class Guestperf:
    """Count passes, and give up after too many or too long. It polls as often as samples come."""

    name: ClassVar[str] = "guestperf"
    uses_postcopy: ClassVar[bool] = True

    post_copy_iters: int = parameter(5, "the pass at which to switch", least=1)
    max_iters: int = parameter(30, "passes until it is called off", least=1)
    max_time: float = parameter(300.0, "seconds until it is called off")
    downtime: int = parameter(500, "the downtime limit, in ms", least=1)

    def decide(self, history: History) -> Decision:
        """Switch when `post_copy_iters` has come."""
        number = history.latest.pass_number if history.latest else 0
        if number > self.max_iters:
            return Decision(Action.CANCEL, f"pass {number} is more than {self.max_iters}")
        if history.elapsed_seconds > self.max_time:
            return Decision(Action.CANCEL, f"{format_seconds(self.max_time)} are over")
        if number >= self.post_copy_iters:
            return Decision(Action.SWITCH, f"pass {number} has begun")
        going_on = wait(f"pass {number} of {self.post_copy_iters}")
        return limit_downtime(history, self.downtime / 1000, "guestperf's downtime", going_on)
