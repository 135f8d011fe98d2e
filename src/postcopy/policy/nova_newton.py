"""What Nova did from Newton to Rocky: switch when a half second brought less than 10 %."""

from dataclasses import dataclass
from typing import ClassVar

from postcopy.migration.decision import Action, Decision, History
from postcopy.migration.sample import Sample
from postcopy.policy.parameters import parameter
from postcopy.policy.polled import NOT_YET, Poll, wait
from postcopy.units import format_bytes

__all__ = ["NovaNewton"]

_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _State:
    poll: Poll = NOT_YET
    before: int = 0
    now: int = 0
    stalled: bool = False


@dataclass(frozen=True, slots=True)
class NovaNewton:
    """Compare what remains with what remained at the poll before, memory and disks together.

    Two polls may lie on both sides of a pass's end, where what remains jumps up: a sawtooth looks
    like no progress.
    """

    name: ClassVar[str] = "nova-newton"
    uses_postcopy: ClassVar[bool] = True

    progress: int = parameter(10, "percent that must go between two polls", least=1)

    def decide(self, history: History) -> Decision:
        """Switch if the last poll showed too little progress."""
        state = history.fold(self._poll, _State())
        left = f"{format_bytes(state.before)} -> {format_bytes(state.now)} between two polls"
        if state.stalled:
            return Decision(Action.SWITCH, f"less than {self.progress} %: {left}")
        return wait(left)

    def _poll(self, state: _State, sample: Sample) -> _State:
        poll = state.poll.next(sample.at, _POLL_SECONDS)
        if poll is None:
            return state
        before, now = state.now, sample.data_remaining_bytes
        stalled = (
            sample.pass_number > 1
            and before > 0
            and round((before - now) * 100 / before) < self.progress
        )
        return _State(poll, before, now, stalled)
