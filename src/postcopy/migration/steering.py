"""Has the policy, or a person, decide at each sample, and sees to it that it is done."""

import contextlib
from collections.abc import Sequence

from postcopy.clock import Clock
from postcopy.errors import PostcopyError, RefusedError
from postcopy.migration.decision import Action, Decision, History, Policy
from postcopy.migration.driver import Driver
from postcopy.migration.event import Acted, Decided, Event, Noted
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample

__all__ = ["Steering"]

# An action that the hypervisor refused is asked for again with the next sample, this many times.
_TRIES = 20


class Steering:
    """What is wanted of one migration, and what was done about it.

    :param history: what the policy is shown; each sample is in it before `steer` is called.

    :ivar switched_at: when the switch to post-copy was acknowledged.
    :ivar switch_latency_seconds: how long after the pass that led to it; None when no pass did.
    """

    def __init__(self, driver: Driver, policy: Policy, history: History, clock: Clock) -> None:
        self.switched_at: float | None = None
        self.switch_latency_seconds: float | None = None
        self._driver = driver
        self._policy = policy
        self._history = history
        self._clock = clock
        self._wanted: Decision | None = None
        self._asked: Action | None = None
        self._refusals = 0
        self._spoken = False
        self._limited = False

    def ask_to_cancel(self, phase: Phase) -> None:
        """Have the migration called off at the next sample.

        :param phase: where it stands.
        :raises RefusedError: once post-copy was asked for: neither host could go on alone then.
        """
        if phase.spread or self._asked is Action.SWITCH:
            raise RefusedError(
                "post-copy has begun: the guest's memory is spread over both hosts, and calling"
                " the migration off now would destroy the guest",
                hint="let it finish",
            )
        self._wanted = Decision(Action.CANCEL, "asked for by hand")

    def ask_to_switch(self) -> None:
        """Have the migration switched to post-copy at the next sample, whatever the policy says."""
        if self._wanted is None:
            self._wanted = Decision(Action.SWITCH, "asked for by hand")

    def recall(self, acted: Sequence[str]) -> None:
        """Take in what an earlier supervisor has done, in the journal's words."""
        self._history.paused = any(text.startswith(Action.PAUSE) for text in acted)
        self._limited = any(text.startswith(Action.LIMIT_DOWNTIME) for text in acted)

    async def agree(self) -> None:
        """Have the driver know, and the hypervisor have, what an earlier supervisor asked for."""
        if self._history.paused:
            await self._driver.pause()  # so that the guest is let go on afterwards
        if self._limited:
            # The policy begins with what the user allows; so must the hypervisor.
            with contextlib.suppress(PostcopyError):
                await self._driver.set_downtime_limit(self._history.downtime_limit)

    async def steer(self, sample: Sample) -> Sequence[Event]:
        """Decide and act; return what is to be told of it.

        :raises PostcopyError: when a switch or an end was refused too often.
        """
        if self._asked is not None or not self._may_act(sample.phase):
            return ()
        decision = self._wanted or self._policy.decide(self._history)
        result: Acted | Noted | None = None
        if decision.action is not Action.CONTINUE:
            result = await self._act(decision, sample)
        events: list[Event] = []
        if sample.pass_ended or result is not None or not self._spoken:
            events.append(Decided(sample.at, decision.action, decision.reason))
        self._spoken = True
        if result is not None:
            events.append(result)
        return events

    def _may_act(self, phase: Phase) -> bool:
        """Return whether there is something to decide: before memory moves, only to call it off."""
        calling_off = self._wanted is not None and self._wanted.action is Action.CANCEL
        return phase is Phase.PRECOPY or (phase is Phase.SETUP and calling_off)

    async def _act(self, decision: Decision, sample: Sample) -> Acted | Noted:
        action = decision.action
        try:
            await self._ask(decision)
        except PostcopyError as error:
            if isinstance(error, RefusedError) and decision is self._wanted:
                # Refused to a person, who hears it; nobody else's wish goes under with it.
                self._wanted = None
                return Noted(self._clock.now(), f"{action} was refused: {error.message}")
            self._refusals += 1
            if self._refusals >= _TRIES:
                if decision.downtime_limit is None:
                    raise
                # A wish, not a need: it is taken as granted, so that it is not asked for again.
                self._history.downtime_limit = decision.downtime_limit
            return Noted(self._clock.now(), f"{action} was not accepted: {error.message}")
        self._refusals = 0
        now = self._clock.now()
        latency = now - sample.pass_ended_at if sample.pass_ended_at is not None else None
        if action in (Action.SWITCH, Action.CANCEL):
            self._asked = action
        if action is Action.SWITCH:
            self.switched_at, self.switch_latency_seconds = now, latency
        return Acted(now, action, latency)

    async def _ask(self, decision: Decision) -> None:
        match decision.action:
            case Action.SWITCH:
                await self._driver.switch()
            case Action.CANCEL:
                await self._driver.cancel()
            case Action.PAUSE:
                await self._driver.pause()
                self._history.paused = True
            case Action.LIMIT_DOWNTIME if decision.downtime_limit is not None:
                await self._driver.set_downtime_limit(decision.downtime_limit)
                self._history.downtime_limit = decision.downtime_limit
