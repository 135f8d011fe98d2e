"""Carries one migration from its start, or from wherever it stands, to its end.

sample -> policy -> action: each sample from the driver is shown to the policy, and what the policy
wants is done at once and then recorded. The supervisor holds nothing that the hypervisor does not:
one that is killed is replaced by another that attaches.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace

from postcopy.clock import Clock, SystemClock
from postcopy.errors import JournalError, OutcomeUnknownError, PostcopyError
from postcopy.migration.cuts import Cuts
from postcopy.migration.decision import History, Policy
from postcopy.migration.driver import Driver
from postcopy.migration.event import Event, Noted, PhaseChanged, SampleTaken
from postcopy.migration.haste import Haste
from postcopy.migration.journal import Journal
from postcopy.migration.outcome import Fate, Figures, Outcome
from postcopy.migration.phase import IllegalTransitionError, Phase, PhaseTracker
from postcopy.migration.sample import Sample
from postcopy.migration.steering import Steering

__all__ = ["Supervisor"]


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
        self._journal = journal
        self._run_id = run_id
        self._observe = observe
        self._clock = clock or SystemClock()
        self._history = History(downtime_limit, looks)
        self._tracker = PhaseTracker()
        self._steering = Steering(driver, policy, self._history, self._clock)
        self._cuts = Cuts(
            driver,
            self._clock,
            tell=self._tell,
            see=self._see,
            recover=recover,
            recover_seconds=recover_seconds,
        )
        self._haste = Haste(driver, self._clock, before=policy.uses_postcopy, tell=self._tell)
        self._noted = 0
        self._spread_at: float | None = None

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
                await self._steering.agree()
        except PostcopyError as problem:
            if not attach:
                self._end(self._never_begun(started_at, problem))
            raise
        self._note()
        try:
            error = await self._follow()
        finally:
            await self._haste.stop()
        self._note()
        figures = Figures()
        if self.phase is Phase.COMPLETED:
            try:
                figures = await self._driver.figures()
            except PostcopyError as problem:
                self._tell(Noted(self._clock.now(), f"no figures: {problem.message}"))
        ended_at = self._clock.now()
        if self._spread_at is not None:
            figures = figures.after_switch(ended_at - self._spread_at)
        outcome = Outcome(
            fate=Fate.of(self.phase),
            phase=self.phase,
            started_at=started_at,
            ended_at=ended_at,
            switched_at=self._steering.switched_at,
            switch_latency_seconds=self._steering.switch_latency_seconds,
            error=error,
            hint=self._cuts.hint or self._driver.advice,
            recoveries=self._cuts.recoveries,
            interrupted_seconds=self._cuts.interrupted_seconds,
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
                    if cut := await self._cuts.noticed(sample):
                        break
            finally:
                if isinstance(samples, AsyncGenerator):
                    await samples.aclose()  # before the driver is asked for samples again
            if not (cut or self.phase is Phase.PAUSED):
                # Of one that has arrived, no trouble on its way is an error of the whole.
                return "" if self.phase is Phase.COMPLETED else error
            if (told := await self._cuts.recover(cut)) is not None:
                return "; ".join(filter(None, (error, told)))
            if self.phase.terminal:
                return ""
            await self._haste.begin_anew()
            error = ""

    def _see(self, phase: Phase, words: str) -> None:
        """Take in a phase that was seen by others than the driver, with the last known figures."""
        last = self._history.latest or Sample(at=self._clock.now(), phase=phase)
        sample = replace(last, at=self._clock.now(), phase=phase, status=words, pass_ended_at=None)
        if (before := self._admit(sample)) is not None:
            self._show(sample, before)

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
        self._steering.ask_to_cancel(self.phase)

    def ask_to_switch(self) -> None:
        """Have the migration switched to post-copy at the next sample, whatever the policy says."""
        self._steering.ask_to_switch()

    def _recall(self) -> float:
        """Take in what the journal knows of the run, and return when it was started."""
        if self._journal is None:
            return self._clock.now()
        for sample in self._journal.samples(self._run_id):
            self._history.add(sample)
            self._tracker.observe(sample.phase)
        events = self._journal.events(self._run_id)
        self._steering.recall([text for _, kind, text in events if kind == "Acted"])
        return self._journal.run(self._run_id).started_at

    def _admit(self, sample: Sample) -> Phase | None:
        """Take a sample in, and return the phase before it; None for one that cannot be."""
        before = self.phase
        try:
            self._tracker.observe(sample.phase)
        except IllegalTransitionError as error:
            self._tell(Noted(sample.at, error.message))
            return None
        if self._spread_at is None and sample.phase.spread:
            self._spread_at = sample.at
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
        events = await self._steering.steer(sample)
        self._haste.see(sample)
        self._show(sample, before)
        for event in events:
            self._tell(event)

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
