"""Fixed moments, which an oracle is looked for among, and an end to patience."""

from dataclasses import dataclass
from typing import ClassVar

from postcopy.migration.decision import Action, Decision, History, Policy
from postcopy.policy.parameters import parameter
from postcopy.policy.polled import wait
from postcopy.units import format_seconds

__all__ = ["Bounded", "Moment"]


@dataclass(frozen=True, slots=True)
class Moment:
    """Switch at one moment, whatever the guest does: what an oracle is looked for among.

    The first of those that are given counts.
    """

    name: ClassVar[str] = "moment"
    uses_postcopy: ClassVar[bool] = True

    passes: int | None = parameter(None, "at the end of this pass", least=1)
    sent: float | None = parameter(None, "in the first pass, this share of the memory gone through")
    seconds: float | None = parameter(None, "so long after memory began to move")

    def decide(self, history: History) -> Decision:
        """Compare with the moment."""
        latest = history.latest
        if latest is None:
            return wait("nothing is known yet")
        if self.passes is not None:
            ended = max(len(history.passes), latest.pass_number - 1)
            return _at(ended >= self.passes, f"the end of pass {self.passes}")
        if self.sent is not None:
            left = (1 - self.sent) * latest.total_bytes
            gone = latest.pass_number > 1 or 0 < latest.remaining_bytes <= left
            return _at(gone, f"{self.sent:.0%} of the first pass")
        seconds = self.seconds or 0.0
        return _at(history.elapsed_seconds >= seconds, f"{format_seconds(seconds)} after the start")


def _at(reached: bool, moment: str) -> Decision:
    if reached:
        return Decision(Action.SWITCH, f"{moment}: the moment that was chosen")
    return wait(f"not yet {moment}")


@dataclass(frozen=True, slots=True)
class Bounded:
    """A policy that is called off when it has not ended or switched after so many seconds.

    :param patience: those seconds.
    """

    policy: Policy
    patience: float

    @property
    def name(self) -> str:
        """The policy's own."""
        return self.policy.name

    @property
    def uses_postcopy(self) -> bool:
        """Whether the policy may switch."""
        return self.policy.uses_postcopy

    def decide(self, history: History) -> Decision:
        """Do what the policy wants, until the patience is over."""
        decision = self.policy.decide(history)
        if history.elapsed_seconds >= self.patience and decision.action is not Action.SWITCH:
            return Decision(Action.CANCEL, f"{format_seconds(self.patience)} are over: given up")
        return decision
