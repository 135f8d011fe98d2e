"""What oVirt's (vdsm's) "Post-copy migration" policy does: a schedule of remedies, pass by pass."""

from dataclasses import dataclass, replace
from typing import ClassVar

from postcopy.migration.decision import Action, Decision, History
from postcopy.migration.sample import Sample
from postcopy.policy.parameters import parameter
from postcopy.policy.polled import NOT_YET, Poll, limit_downtime, wait

__all__ = ["Ovirt"]


@dataclass(frozen=True, slots=True)
class _Step:
    """Taken when more than `limit` passes have gone by since the first look."""

    limit: int
    action: Action
    downtime_seconds: float | None = None


_SCHEDULE = (
    _Step(1, Action.LIMIT_DOWNTIME, 0.150),
    _Step(2, Action.LIMIT_DOWNTIME, 0.200),
    _Step(-1, Action.SWITCH),
    _Step(-1, Action.CANCEL),
)


@dataclass(frozen=True, slots=True)
class _State:
    poll: Poll = NOT_YET
    first: int | None = None
    last: int = -1
    taken: int = 0
    """How many steps of the schedule have been taken."""
    step: _Step | None = None
    """The one that this tick takes."""


@dataclass(frozen=True, slots=True)
class Ovirt:
    """At each tick that finds another pass, take at most one step of the schedule.

    oVirt throttles the guest meanwhile: `--auto-converge` goes with it.
    """

    name: ClassVar[str] = "ovirt"
    uses_postcopy: ClassVar[bool] = True

    tick: float = parameter(10.0, "seconds between two looks", least=0.1)
    initial_downtime: int = parameter(100, "the downtime to begin with, in ms", least=1)

    def decide(self, history: History) -> Decision:
        """Do what the last tick came to."""
        state = history.fold(self._tick, _State())
        going_on = wait(f"{state.taken} of {len(_SCHEDULE)} steps of the schedule are taken")
        if state.step is None:
            if state.taken:
                return going_on
            initial = self.initial_downtime / 1000
            return limit_downtime(history, initial, "the downtime to begin with", going_on)
        passes = state.last - (state.first or 0)
        reason = f"step {state.taken} of the schedule, {passes} passes after the first look"
        if state.step.downtime_seconds is not None:
            return limit_downtime(history, state.step.downtime_seconds, reason, going_on)
        return Decision(state.step.action, reason)

    def _tick(self, state: _State, sample: Sample) -> _State:
        poll = state.poll.next(sample.at, self.tick)
        if poll is None:
            return state
        if state.poll.began is None:
            return replace(state, poll=poll)  # the first look comes a tick after the start
        number = sample.pass_number
        first = number if state.first is None else state.first
        state = replace(state, poll=poll, first=first, step=None)
        if number <= state.last or state.taken == len(_SCHEDULE):
            return state
        head = _SCHEDULE[state.taken]
        if head.limit >= number - first:
            return replace(state, last=number)
        return replace(state, last=number, taken=state.taken + 1, step=head)
