"""What a policy is given, and what it gives back."""

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample

__all__ = ["Action", "Decision", "History", "Policy"]

S = TypeVar("S")

# Over less than this, in seconds, what has been sent says little of the bandwidth.
_LONG_ENOUGH = 0.2


class Action(enum.StrEnum):
    """What a policy can want."""

    CONTINUE = "continue"
    SWITCH = "switch"
    """Go over to post-copy."""
    CANCEL = "cancel"
    """Call the migration off; the guest goes on at the source."""
    PAUSE = "pause"
    """Stop the guest until it has moved, so that pre-copy ends."""
    LIMIT_DOWNTIME = "limit-downtime"
    """Let the guest stand still for so long at a pre-copy switchover."""


@dataclass(frozen=True, slots=True)
class Decision:
    """An action, and why: the reason is shown to people and kept in the journal.

    :param downtime_limit: of `Action.LIMIT_DOWNTIME`, in seconds.
    :param again_seconds: in how long the policy wants to be asked again, though the pass may not
        have ended by then. Who takes samples all the time, as a supervisor does, need not heed it.
    """

    action: Action
    reason: str
    downtime_limit: float | None = None
    again_seconds: float | None = None


class History:
    """What is known of one migration so far; grows by one sample at a time.

    :param downtime_limit: how long the guest may stand still at a pre-copy switchover, in seconds.
    :param looks: what was measured of the guest before: in how many seconds it dirtied how many
        bytes.
    """

    def __init__(self, downtime_limit: float, looks: Sequence[tuple[float, float]] = ()) -> None:
        self.looks = tuple(looks)
        self.allowed_downtime = downtime_limit
        """What the user allows; `downtime_limit` is what is set now."""
        self.downtime_limit = downtime_limit
        self.paused = False
        """Whether the guest was stopped for the migration's sake."""
        self.latest: Sample | None = None
        self.samples: list[Sample] = []
        """All samples taken in pre-copy, oldest first."""
        self.passes: list[Sample] = []
        """The samples that each mark the end of a pass, oldest first."""
        self.memory_bytes = 0
        """The size of the guest's memory; 0 while the hypervisor has not said."""
        self.disk_bytes = 0
        """The size of the disks that are copied along."""
        self._started_at: float | None = None
        self._folds: dict[Callable[[Any, Sample], Any], tuple[int, Any]] = {}
        self._worked_out: dict[Callable[[History], Any], tuple[tuple[int, float], Any]] = {}

    def add(self, sample: Sample) -> None:
        """Take in the next sample."""
        if self._started_at is None and sample.phase is not Phase.SETUP:
            self._started_at = sample.at
        if sample.pass_ended:
            self.passes.append(sample)
        if sample.phase is Phase.PRECOPY:
            self.samples.append(sample)
        if sample.total_bytes:
            self.memory_bytes = sample.total_bytes
            self.disk_bytes = sample.disk_total_bytes
        self.latest = sample

    def fold(self, step: Callable[[S, Sample], S], start: S) -> S:
        """Return what a pure function makes of the samples of pre-copy, one after the other.

        That is how a policy remembers: its state is derived from the history, not kept beside it.
        Asked for again, only the samples that have come since are gone through.

        :param step: returns the state after a sample, from the state before it. The same object
            each time.
        """
        done: int
        state: S
        done, state = self._folds.get(step, (0, start))
        for sample in self.samples[done:]:
            state = step(state, sample)
        self._folds[step] = (len(self.samples), state)
        return state

    def once_a_pass(self, work_out: Callable[["History"], S]) -> S:
        """Return what a pure function made of the history when it was first asked in this pass.

        Until another pass ends, or another downtime limit is set, the answer stays the same.

        :param work_out: the same object each time, or one that equals it.
        """
        known = len(self.passes), self.downtime_limit
        kept = self._worked_out.get(work_out)
        if kept is None or kept[0] != known:
            kept = self._worked_out[work_out] = known, work_out(self)
        made: S = kept[1]
        return made

    @property
    def started_at(self) -> float | None:
        """When memory began to move, in Unix time; None before."""
        return self._started_at

    @property
    def elapsed_seconds(self) -> float:
        """How long memory has been moving."""
        if self.latest is None or self._started_at is None:
            return 0.0
        return self.latest.at - self._started_at

    @property
    def bandwidth(self) -> float:
        """Bytes of memory a second over the last finished pass; before, what the hypervisor says.

        A mean over a pass is steadier than a hypervisor's own figure over 100 ms.
        """
        if len(self.passes) >= 2:
            before, last = self.passes[-2:]
            if before.disk_remaining_bytes and last.bandwidth:
                return last.bandwidth  # passes that wait for disks say nothing about the link
            seconds = last.at - before.at
            if seconds > 0:
                return (last.transferred_bytes - before.transferred_bytes) / seconds
        if self.passes and self.samples:
            # Watched from its middle on, the first pass had sent something before.
            seconds = self.passes[0].at - self.samples[0].at
            sent = self.passes[0].transferred_bytes - self.samples[0].transferred_bytes
            if seconds >= _LONG_ENOUGH or (seconds > 0 and not self.samples[0].transferred_bytes):
                return sent / seconds
            return self.passes[0].bandwidth
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
