"""What KubeVirt does: a time-out by the size, and giving up when nothing moves.

Source: ``MigrationConfiguration`` of the KubeVirt API and virt-launcher's migration monitor.
"""

from dataclasses import dataclass
from typing import ClassVar

from postcopy.migration.decision import Action, Decision, History
from postcopy.migration.sample import Sample
from postcopy.policy.parameters import parameter
from postcopy.policy.polled import GIB, NOT_YET, Poll, wait
from postcopy.units import format_seconds

__all__ = ["Kubevirt"]

_POLL_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class _State:
    poll: Poll = NOT_YET
    elapsed: float = 0.0
    before: int = 0
    progress_at: float = 0.0
    """When what remains was last less than at the poll before, since the start."""


@dataclass(frozen=True, slots=True)
class Kubevirt:
    """Past the time-out go over to post-copy, or suspend the guest, or give up: as permitted."""

    name: ClassVar[str] = "kubevirt"

    completion_timeout_per_gib: int = parameter(150, "seconds for each GiB of memory and disk")
    progress_timeout: int = parameter(150, "seconds without progress until it is called off")
    allow_post_copy: bool = parameter(True, "whether post-copy is permitted")
    allow_workload_disruption: bool = parameter(
        True, "whether the guest may be suspended where post-copy is not permitted"
    )

    @property
    def uses_postcopy(self) -> bool:
        """Whether post-copy may come of it."""
        return self.allow_post_copy

    def decide(self, history: History) -> Decision:
        """Look at the clock, and at when something moved last."""
        state = history.fold(self._poll, _State())
        idle = state.elapsed - state.progress_at
        if idle > self.progress_timeout:
            return Decision(Action.CANCEL, f"nothing has moved for {format_seconds(idle)}")
        size = (history.memory_bytes + history.disk_bytes) / GIB
        timeout = self.completion_timeout_per_gib * size
        if state.elapsed <= timeout:
            gone = format_seconds(state.elapsed)
            return wait(f"{gone} have gone; time is out at {format_seconds(timeout)}")
        reason = f"{format_seconds(timeout)} are over, the time-out for {size:.1f} GiB"
        if self.allow_post_copy:
            return Decision(Action.SWITCH, reason)
        if not self.allow_workload_disruption:
            return Decision(Action.CANCEL, reason)
        if history.paused:
            return wait("the guest is suspended until it has moved")
        return Decision(Action.PAUSE, reason)

    def _poll(self, state: _State, sample: Sample) -> _State:
        poll = state.poll.next(sample.at, _POLL_SECONDS)
        if poll is None:
            return state
        elapsed, now = poll.seconds(sample.at), sample.data_remaining_bytes
        moved = now < state.before or state.before == 0
        return _State(poll, elapsed, now, elapsed if moved else state.progress_at)
