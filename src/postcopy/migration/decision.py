"""What a policy is given, and what it gives back."""

import enum
from dataclasses import dataclass
from typing import Protocol

from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample

__all__ = ["Action", "Decision", "History", "Policy"]


class Action(enum.StrEnum):
    """What a policy can want."""

    CONTINUE = "continue"
    SWITCH = "switch"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Decision:
    """An action, and why: the reason is shown to people and kept in the journal."""

    action: Action
    reason: str


class History:
    """What is known of one migration so far; grows by one sample at a time.

    :param downtime_limit: how long the guest may stand still at a pre-copy switchover, in seconds.
    """

    def __init__(self, downtime_limit: float) -> None:
        self.downtime_limit = downtime_limit
        self.latest: Sample | None = None
        self.passes: list[Sample] = []
        """The samples that each mark the end of a pass, oldest first."""
        self._started_at: float | None = None

    def add(self, sample: Sample) -> None:
        """Take in the next sample."""
        if self._started_at is None and sample.phase is not Phase.SETUP:
            self._started_at = sample.at
        if sample.pass_ended:
            self.passes.append(sample)
        self.latest = sample

    @property
    def elapsed_seconds(self) -> float:
        """How long memory has been moving."""
        if self.latest is None or self._started_at is None:
            return 0.0
        return self.latest.at - self._started_at

    @property
    def bandwidth(self) -> float:
        """Bytes a second over the last finished pass, or what the hypervisor says if there is none.

        A mean over a pass is steadier than a hypervisor's own figure over 100 ms.
        """
        if len(self.passes) >= 2:
            before, last = self.passes[-2:]
            seconds = last.at - before.at
            if seconds > 0:
                return (last.transferred_bytes - before.transferred_bytes) / seconds
        if self.passes and self._started_at is not None:
            seconds = self.passes[0].at - self._started_at
            if seconds > 0:
                return self.passes[0].transferred_bytes / seconds
        return self.latest.bandwidth if self.latest else 0.0


class Policy(Protocol):
    """A rule that says when to switch: data and one pure function."""

    @property
    def name(self) -> str:
        """What users call it."""
        ...

    @property
    def uses_postcopy(self) -> bool:
        """Whether it may ever ask for `Action.SWITCH`, so that post-copy must be armed."""
        ...

    def decide(self, history: History) -> Decision:
        """Look at the history, whose latest sample is in pre-copy, and say what to do now."""
        ...
