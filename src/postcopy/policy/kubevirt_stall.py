"""KubeVirt's stall detector (alpha): switch near the best that passes have come to.

At each pass's end it records what is left. Once that has stopped falling, it waits for a pass that
ends nearly as low as the lowest, lowering its sights as its patience runs out.
"""

import heapq
from dataclasses import dataclass, replace
from typing import ClassVar

from postcopy.migration.decision import Action, Decision, History
from postcopy.migration.sample import Sample
from postcopy.policy.parameters import parameter
from postcopy.policy.polled import GIB, NOT_YET, Poll, wait
from postcopy.units import format_bytes, format_seconds

__all__ = ["KubevirtStall"]

_POLL_SECONDS = 0.4
_EWMA_ALPHA = 0.4


@dataclass(frozen=True, slots=True)
class _State:
    poll: Poll = NOT_YET
    began: float = 0.0
    bandwidth: float = 0.0
    """Smoothed, in bytes a second."""
    records: tuple[tuple[float, int], ...] = ()
    """When each pass ended, and what was left then."""
    best: int | None = None
    """What the guest is waited for to come down to; None before the first stall."""
    patience: float = 0.0
    deadline: float = 0.0
    heap: tuple[int, ...] = ()
    act: str = ""
    """Why the last pass's end is the moment, if it is."""


@dataclass(frozen=True, slots=True)
class KubevirtStall:
    """Wait for a good moment, and not for ever."""

    name: ClassVar[str] = "kubevirt-stall"
    uses_postcopy: ClassVar[bool] = True

    completion_timeout_per_gib: int = parameter(150, "seconds for each GiB of memory and disk")
    window: float = parameter(40.0, "seconds that a record must be old to be compared with")
    stall_margin: float = parameter(0.04, "how much less than before is no stall, as a share")
    switch_margin: float = parameter(0.04, "how much above the best is near enough, as a share")
    patience: float = parameter(40.0, "seconds to wait for the best; halved each time", least=0.1)

    def decide(self, history: History) -> Decision:
        """Switch at the pass's end that is good enough."""
        state = history.fold(self._see, _State())
        latest = history.latest
        if latest is None or not latest.pass_ended:
            return wait("a pass is under way")
        if state.best is None:
            return wait(f"passes still fall: {format_bytes(latest.data_remaining_bytes)} left")
        if not state.act:
            return wait(f"stalled; waiting for a pass that leaves {format_bytes(state.best)}")
        size = (history.memory_bytes + history.disk_bytes) / GIB
        allowed = 2 * self.completion_timeout_per_gib * size - (latest.at - state.began)
        needed = latest.data_remaining_bytes / state.bandwidth if state.bandwidth else float("inf")
        if needed > allowed:
            return wait(f"{format_seconds(needed)} of post-copy are more than is allowed")
        return Decision(Action.SWITCH, state.act)

    def _see(self, state: _State, sample: Sample) -> _State:
        if state.poll.began is None:
            state = replace(state, began=sample.at)
        if (poll := state.poll.next(sample.at, _POLL_SECONDS)) is not None:
            before, now = state.bandwidth, sample.bandwidth
            smooth = _EWMA_ALPHA * now + (1 - _EWMA_ALPHA) * before if before else now
            state = replace(state, poll=poll, bandwidth=smooth)
        return self._judge(state, sample) if sample.pass_ended else state

    def _judge(self, state: _State, sample: Sample) -> _State:
        at, left = sample.at, sample.data_remaining_bytes
        old = [then for when, then in state.records if at - when >= self.window]
        state = replace(state, records=(*state.records, (at, left)))
        if state.best is None:
            if not old or left < (1 - self.stall_margin) * min(old):
                return state
            best = min(then for _, then in state.records)
            state = replace(state, best=best, patience=self.patience, deadline=at + self.patience)
        else:
            state = self._wait(state, at, left)
        assert state.best is not None
        near = left <= (1 + self.switch_margin) * state.best
        reason = f"{format_bytes(left)} left, and the best to wait for is"
        return replace(state, act=f"{reason} {format_bytes(state.best)}" if near else "")

    def _wait(self, state: _State, at: float, left: int) -> _State:
        heap = [*state.heap]
        heapq.heappush(heap, left)
        if at <= state.deadline:
            return replace(state, heap=tuple(heap))
        best, patience = heapq.heappop(heap), state.patience / 2
        return replace(
            state, best=best, patience=patience, deadline=at + patience, heap=tuple(heap)
        )
