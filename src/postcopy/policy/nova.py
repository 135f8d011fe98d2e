"""What Nova's libvirt driver does today: time-outs by the size, and growing downtime steps.

Source: ``live_migration_*`` of nova.conf and nova/virt/libvirt/migration.py. Nova polls every half
second, and judges by the clock alone.
"""

from dataclasses import dataclass
from typing import ClassVar

from postcopy.migration.decision import Action, Decision, History
from postcopy.migration.sample import Sample
from postcopy.policy.parameters import parameter
from postcopy.policy.polled import GIB, NOT_YET, Poll, limit_downtime, wait
from postcopy.units import format_seconds

__all__ = ["Nova"]

_POLL_SECONDS = 0.5
# Memory and each disk count as this much at least.
_LEAST_GIB = 2.0
_BASE_STEP_DIVISOR = 10


@dataclass(frozen=True, slots=True)
class _State:
    poll: Poll = NOT_YET
    elapsed: float = 0.0


@dataclass(frozen=True, slots=True)
class Nova:
    """Past the time-out, do what was configured; until then, allow ever longer a downtime.

    How large each copied disk is, job statistics do not say: all of them count as one.
    """

    name: ClassVar[str] = "nova"

    completion_timeout: int = parameter(800, "seconds for each GiB of memory and disk; 0 is never")
    timeout_action: str = parameter(
        "abort", "what to do past the time-out", choices=("abort", "force_complete")
    )
    permit_post_copy: bool = parameter(True, "whether force_complete may go over to post-copy")
    downtime: int = parameter(500, "the longest downtime, in ms", least=100)
    downtime_steps: int = parameter(10, "steps towards it", least=3)
    downtime_delay: int = parameter(75, "seconds between them for each GiB", least=3)

    @property
    def uses_postcopy(self) -> bool:
        """Whether post-copy may come of it."""
        return self.permit_post_copy and self.timeout_action == "force_complete"

    def decide(self, history: History) -> Decision:
        """Look at the clock as of the last poll."""
        elapsed = history.fold(self._poll, _State()).elapsed
        size = max(_LEAST_GIB, history.memory_bytes / GIB)
        if history.disk_bytes:
            size += max(_LEAST_GIB, history.disk_bytes / GIB)
        timeout = int(self.completion_timeout * size)
        if timeout and elapsed > timeout:
            return self._out_of_time(history, timeout, size)
        limit = self._downtime_ms(elapsed, size)
        until = f"; time is out at {format_seconds(timeout)}" if timeout else ""
        going_on = wait(f"{format_seconds(elapsed)} have gone{until}")
        if limit is None:
            return going_on
        return limit_downtime(history, limit / 1000, "the next step of the downtime", going_on)

    def _poll(self, state: _State, sample: Sample) -> _State:
        poll = state.poll.next(sample.at, _POLL_SECONDS)
        return state if poll is None else _State(poll, poll.seconds(sample.at))

    def _out_of_time(self, history: History, timeout: int, size: float) -> Decision:
        reason = f"{format_seconds(timeout)} are over, the time-out for {size:.1f} GiB"
        if self.timeout_action == "abort":
            return Decision(Action.CANCEL, reason)
        if self.permit_post_copy:
            return Decision(Action.SWITCH, reason)
        if history.paused:
            return wait("the guest is paused until it has moved")
        return Decision(Action.PAUSE, reason)

    def _downtime_ms(self, elapsed: float, size: float) -> int | None:
        """Return the downtime of the latest step whose time has come."""
        delay = int(self.downtime_delay * size)
        base = self.downtime / _BASE_STEP_DIVISOR
        offset = (self.downtime - base) / self.downtime_steps
        due = [i for i in range(self.downtime_steps + 1) if elapsed > delay * i]
        return int(base + offset * due[-1]) if due else None
