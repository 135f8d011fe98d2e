"""Carries one migration from its start, or from wherever it stands, to its end.

sample -> policy -> action: each sample from the driver is shown to the policy, and what the policy
wants is done at once and then recorded. The supervisor holds nothing that the hypervisor does not:
one that is killed is replaced by another that attaches.
"""

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace

from postcopy.clock import Clock, SystemClock
from postcopy.errors import JournalError, OutcomeUnknownError, PostcopyError, RefusedError
from postcopy.migration.decision import Action, Decision, History, Policy
from postcopy.migration.driver import Driver
from postcopy.migration.event import (
    Acted,
    Decided,
    Event,
    Noted,
    PhaseChanged,
    Recovered,
    SampleTaken,
)
from postcopy.migration.journal import Journal
from postcopy.migration.outcome import Fate, Figures, Outcome
from postcopy.migration.phase import IllegalTransitionError, Phase, PhaseTracker
from postcopy.migration.recovery import Ending, Recovery, StallWatch
from postcopy.migration.sample import Sample

__all__ = ["Supervisor"]

# An action that the hypervisor refused is asked for again with the next sample, this many times.
_TRIES = 20

_LAG_SECONDS = 0.1


@dataclass(slots=True)
class _Switch:
    at: float | None = None
    latency_seconds: float | None = None


class Supervisor:
    """Moves one guest.

    :param driver: what moves it.
    :param policy: what says when to switch.
    :param downtime_limit: how long the guest may stand still at a pre-copy switchover, in seconds.
    :param looks: what was measured of the guest before, as `History` takes it.
    :param recover: whether to recover a post-copy whose connection broke.
    :param recover_seconds: for how long to try, each time; None for ever.
    :param journal: where to record the run numbered `run_id`; nothing is recorded without it.
    :param observe: called with every `Event`, in order; it must be quick and must not raise.
    """

    def __init__(
        self,
        driver: Driver,
        policy: Policy,
        *,
        downtime_limit: float = 0.3,
        looks: Sequence[tuple[float, float]] = (),
        recover: bool = True,
        recover_seconds: float | None = None,
        journal: Journal | None = None,
        run_id: int = 0,
        observe: Callable[[Event], None] = lambda event: None,
        clock: Clock | None = None,
    ) -> None:
        self._driver = driver
        self._policy = policy
        self._journal = journal
        self._run_id = run_id
        self._observe = observe
        self._clock = clock or SystemClock()
        self._history = History(downtime_limit, looks)
        self._tracker = PhaseTracker()
        self._switch = _Switch()
        self._recover_wanted = recover
        self._recover_seconds = recover_seconds
        self._stall = StallWatch()
        self._recoveries = 0
        self._interrupted_seconds = 0.0
        self._told_recovered = False
        self._wanted: Decision | None = None
        self._asked: Action | None = None
        self._refusals = 0
        self._spoken = False
        self._limited = False
        self._noted = 0
        self._hint = ""

    @property
    def phase(self) -> Phase:
        """Where the migration stands, as far as was seen."""
        return self._tracker.phase

    async def run(self, *, attach: bool = False) -> Outcome:
        """Start the migration, or `attach` to the one under way, and see it to its end.

        Being cancelled (as by Ctrl-C) stops the watching and nothing else: the migration goes on.

        :raises PostcopyError: when it could not be started; the guest is untouched then.
        """
        started_at = self._recall() if attach else self._clock.now()
        try:
            await (self._driver.attach() if attach else self._driver.start())
            if attach:
                await self._agree()
        except PostcopyError as problem:
            if not attach:
                self._end(self._never_begun(started_at, problem))
            raise
        self._note()
        error = await self._follow()
        self._note()
        figures = Figures()
        if self.phase is Phase.COMPLETED:
            try:
                figures = await self._driver.figures()
            except PostcopyError as problem:
                self._tell(Noted(self._clock.now(), f"no figures: {problem.message}"))
        outcome = Outcome(
            fate=Fate.of(self.phase),
            phase=self.phase,
            started_at=started_at,
            ended_at=self._clock.now(),
            switched_at=self._switch.at,
            switch_latency_seconds=self._switch.latency_seconds,
            error=error,
            hint=self._hint or self._driver.advice,
            recoveries=self._recoveries,
            interrupted_seconds=self._interrupted_seconds,
            figures=figures,
        )
        self._end(outcome)
        return outcome

    def _note(self) -> None:
        """Tell what the driver has noted since it was asked last."""
        notes = self._driver.notes[self._noted :]
        self._noted += len(notes)
        for note in notes:
            self._tell(Noted(self._clock.now(), note))

    async def _follow(self) -> str:
        """See the migration to its end, through every cut; return the hypervisor's last error."""
        error = ""
        while True:
            cut = ""
            samples = self._driver.samples()
            try:
                async for sample in samples:
                    await self._take(sample)
                    self._note()
                    error = sample.error or error
                    if self.phase.terminal or self.phase is Phase.PAUSED:
                        break
                    if cut := await self._cut(sample):
                        break
            finally:
                if isinstance(samples, AsyncGenerator):
                    await samples.aclose()  # before the driver is asked for samples again
            if not (cut or self.phase is Phase.PAUSED):
                # Of one that has arrived, no trouble on its way is an error of the whole.
                return "" if self.phase is Phase.COMPLETED else error
            if (told := await self._recovered(cut)) is not None:
                return "; ".join(filter(None, (error, told)))
            if self.phase.terminal:
                return ""
            error = ""

    async def _cut(self, sample: Sample) -> str:
        """Return why the connection must be dead, if it must."""
        if sample.phase is Phase.POSTCOPY:
            self._told_recovered = False  # whatever comes next is another cut
        if not self._recover_wanted or (rescue := self._driver.rescue) is None:
            return ""
        return await self._stall.judge(sample, rescue.wire)

    async def _recovered(self, cut: str) -> str | None:
        """Recover what is interrupted; return why it is not, or None once it goes on.

        :param cut: why the connection is dead, where no hypervisor has said so.
        """
        rescue = self._driver.rescue
        if not self._recover_wanted or rescue is None:
            return ""

        def tell(line: str) -> None:
            self._told_recovered = False
            self._tell(Recovered(self._clock.now(), line))

        began = self._clock.now()
        recovery = Recovery(
            rescue,
            self._clock,
            tell=tell,
            see=self._see,
            limit=self._recover_seconds,
        )
        verdict = await recovery.run(cut)
        self._interrupted_seconds += self._clock.now() - began
        recovered = verdict.ending is Ending.RECOVERED
        # One that found nothing to do only waited for a hypervisor whose word was behind.
        if not (recovered and self._told_recovered):
            tell(f"{verdict.ending}: {verdict.text}")
        self._told_recovered = recovered
        self._stall.restart()
        match verdict.ending:
            case Ending.RECOVERED:
                self._recoveries += recovery.connected
                # A hypervisor's word for the state may lag behind what both sides say.
                await self._clock.sleep(_LAG_SECONDS)
                return None
            case Ending.ARRIVED:
                try:
                    await rescue.arrived()
                except PostcopyError as problem:
                    self._tell(Noted(self._clock.now(), problem.message))
                self._see(Phase.COMPLETED, verdict.text)
                return None
            case Ending.LOST:
                self._see(Phase.FAILED, verdict.text)
                self._hint = verdict.hint
        return verdict.text

    def _see(self, phase: Phase, words: str) -> None:
        """Take in a phase that was seen by others than the driver, with the last known figures."""
        last = self._history.latest or Sample(at=self._clock.now(), phase=phase)
        sample = replace(last, at=self._clock.now(), phase=phase, status=words, pass_ended_at=None)
        if (before := self._admit(sample)) is not None:
            self._show(sample, before)

    async def _agree(self) -> None:
        """Have the driver know, and the hypervisor have, what an earlier supervisor asked for."""
        if self._history.paused:
            await self._driver.pause()  # so that the guest is let go on afterwards
        if self._limited:
            # The policy begins with what the user allows; so must the hypervisor.
            with contextlib.suppress(PostcopyError):
                await self._driver.set_downtime_limit(self._history.downtime_limit)

    def _never_begun(self, started_at: float, problem: PostcopyError) -> Outcome:
        unknown = isinstance(problem, OutcomeUnknownError)
        return Outcome(
            fate=Fate.UNKNOWN if unknown else Fate.FAILED,
            phase=Phase.UNKNOWN if unknown else Phase.FAILED,
            started_at=started_at,
            ended_at=self._clock.now(),
            error=problem.message,
        )

    def _end(self, outcome: Outcome) -> None:
        if self._journal is not None:
            self._keep(lambda journal: journal.end(self._run_id, outcome))

    def ask_to_cancel(self) -> None:
        """Have the migration called off at the next sample; `run` then sees its end.

        :raises RefusedError: once post-copy was asked for: neither host could go on alone then.
        """
        if self.phase.spread or self._asked is Action.SWITCH:
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

    def _recall(self) -> float:
        """Take in what the journal knows of the run, and return when it was started."""
        if self._journal is None:
            return self._clock.now()
        for sample in self._journal.samples(self._run_id):
            self._history.add(sample)
            self._tracker.observe(sample.phase)
        acted = [text for _, kind, text in self._journal.events(self._run_id) if kind == "Acted"]
        self._history.paused = any(text.startswith(Action.PAUSE) for text in acted)
        self._limited = any(text.startswith(Action.LIMIT_DOWNTIME) for text in acted)
        return self._journal.run(self._run_id).started_at

    def _admit(self, sample: Sample) -> Phase | None:
        """Take a sample in, and return the phase before it; None for one that cannot be."""
        before = self.phase
        try:
            self._tracker.observe(sample.phase)
        except IllegalTransitionError as error:
            self._tell(Noted(sample.at, error.message))
            return None
        self._history.add(sample)
        return before

    def _show(self, sample: Sample, before: Phase) -> None:
        self._tell(SampleTaken(sample))
        if sample.phase is not before:
            self._tell(PhaseChanged(sample.at, before, sample.phase))

    async def _take(self, sample: Sample) -> None:
        if (before := self._admit(sample)) is None:
            return
        # Decide and act before anything is written: a slow disk must not delay the switch.
        decision = await self._decide(sample)
        self._show(sample, before)
        if decision is not None:
            self._report(sample, decision)

    async def _decide(self, sample: Sample) -> tuple[Decision, Acted | Noted | None] | None:
        if self._asked is not None or not self._may_act(sample.phase):
            return None
        decision = self._wanted or self._policy.decide(self._history)
        if decision.action is Action.CONTINUE:
            return decision, None
        return decision, await self._act(decision, sample)

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
            self._switch = _Switch(now, latency)
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

    def _report(self, sample: Sample, made: tuple[Decision, Acted | Noted | None]) -> None:
        decision, result = made
        if sample.pass_ended or result is not None or not self._spoken:
            self._tell(Decided(sample.at, decision.action, decision.reason))
        self._spoken = True
        if result is not None:
            self._tell(result)

    def _tell(self, event: Event) -> None:
        if self._journal is not None:
            self._keep(lambda journal: journal.record(self._run_id, event))
        self._observe(event)

    def _keep(self, write: Callable[[Journal], None]) -> None:
        """Write to the journal; a guest on the move matters more than its record."""
        assert self._journal is not None
        try:
            write(self._journal)
        except JournalError as error:
            self._journal = None
            self._observe(
                Noted(self._clock.now(), f"going on without the journal: {error.message}")
            )
