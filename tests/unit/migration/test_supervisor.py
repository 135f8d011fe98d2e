import itertools
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.errors import JournalError, PostcopyError, RefusedError
from postcopy.migration import (
    Action,
    Decision,
    Fate,
    Figures,
    History,
    Journal,
    Phase,
    Sample,
    Supervisor,
)
from postcopy.migration.event import Acted, Decided, Event, Noted, PhaseChanged, SampleTaken
from postcopy.policy import Adaptive, AfterFirstPass, Immediate, Precopy, find
from postcopy.testing import FakeDriver, FakeGuest

BUSY = FakeGuest(hot_bytes=96_000_000)
CALM = FakeGuest(hot_bytes=96_000_000, write_rate=2e6)


def phases(events: Iterable[Event]) -> list[Phase]:
    return [event.after for event in events if isinstance(event, PhaseChanged)]


@pytest.mark.parametrize("policy", ["immediate", "after-first-pass", "adaptive"])
async def test_a_busy_guest_ends_by_postcopy(policy: str) -> None:
    events: list[Event] = []
    driver = FakeDriver(BUSY)
    outcome = await Supervisor(
        driver, find(policy), observe=events.append, clock=driver.clock
    ).run()
    assert outcome.fate is Fate.COMPLETED
    assert driver.calls.count("switch") == 1
    assert phases(events) == [Phase.PRECOPY, Phase.POSTCOPY, Phase.COMPLETED]
    assert outcome.switched_at is not None


@pytest.mark.parametrize(
    ("downtime", "postcopy", "means"),
    [
        (0.003, 7.0, 0.003),
        (6.9, 7.0, 0.0),  # QEMU counted none, and took it for not counted yet
        (0.4, 0.42, 0.0),
        (0.02, 0.02, 0.02),  # too short to tell
        (None, 7.0, None),
    ],
)
def test_a_downtime_that_takes_in_all_of_postcopy_was_none(
    downtime: float | None, postcopy: float, means: float | None
) -> None:
    figures = Figures(downtime_seconds=downtime, passes=2)
    assert figures.after_switch(postcopy) == Figures(downtime_seconds=means, passes=2)


async def test_adaptive_leaves_a_calm_guest_to_precopy() -> None:
    driver = FakeDriver(CALM)
    outcome = await Supervisor(driver, Adaptive(), clock=driver.clock).run()
    assert outcome.fate is Fate.COMPLETED
    assert "switch" not in driver.calls


async def test_the_switch_comes_in_the_sample_that_ends_the_pass() -> None:
    driver = FakeDriver(BUSY)
    outcome = await Supervisor(driver, AfterFirstPass(), clock=driver.clock).run()
    assert outcome.switch_latency_seconds == 0.0


async def test_a_refused_switch_is_asked_for_again() -> None:
    events: list[Event] = []
    driver = FakeDriver(BUSY, refuse_switch=3)
    outcome = await Supervisor(driver, Immediate(), observe=events.append).run()
    assert outcome.fate is Fate.COMPLETED
    assert driver.calls.count("switch") == 4
    assert sum(isinstance(event, Noted) for event in events) == 3


async def test_a_switch_that_is_always_refused_ends_in_its_error() -> None:
    driver = FakeDriver(BUSY, refuse_switch=10_000)
    with pytest.raises(PostcopyError, match="not yet"):
        await Supervisor(driver, Immediate()).run()


async def test_precopy_gives_up_when_told_to() -> None:
    driver = FakeDriver(BUSY)
    outcome = await Supervisor(driver, Precopy(give_up_after=3), clock=driver.clock).run()
    assert outcome.fate is Fate.CANCELLED
    assert driver.calls.count("cancel") == 1


async def test_a_break_in_postcopy_is_an_interrupted_migration() -> None:
    driver = FakeDriver(BUSY, break_after=0.2)
    outcome = await Supervisor(driver, Immediate()).run()
    assert (outcome.fate, outcome.phase) == (Fate.INTERRUPTED, Phase.PAUSED)


async def test_requests_by_hand() -> None:
    driver = FakeDriver(BUSY)
    supervisor = Supervisor(driver, Precopy())
    supervisor.ask_to_cancel()
    outcome = await supervisor.run()
    assert outcome.fate is Fate.CANCELLED

    driver = FakeDriver(BUSY)
    supervisor = Supervisor(driver, Precopy())
    supervisor.ask_to_switch()
    outcome = await supervisor.run()
    assert outcome.switched_at is not None


async def test_before_memory_moves_it_can_be_called_off_and_nothing_else() -> None:
    class CopiesDisks(FakeDriver):
        async def samples(self) -> AsyncIterator[Sample]:
            for _ in range(3):
                yield Sample(at=self.clock.now(), phase=Phase.SETUP, status="copying disks")
            if "cancel" in self.calls:
                yield Sample(at=self.clock.now(), phase=Phase.CANCELLED)
                return
            async for sample in super().samples():
                yield sample

    driver = CopiesDisks(BUSY)
    supervisor = Supervisor(driver, Immediate(), clock=driver.clock)
    supervisor.ask_to_cancel()
    assert (await supervisor.run()).fate is Fate.CANCELLED
    assert driver.calls == ["start", "cancel"]

    events: list[Event] = []
    driver = CopiesDisks(BUSY)
    supervisor = Supervisor(driver, Precopy(), observe=events.append, clock=driver.clock)
    supervisor.ask_to_switch()
    assert (await supervisor.run()).fate is Fate.COMPLETED
    before = list(itertools.takewhile(lambda event: not isinstance(event, PhaseChanged), events))
    assert not [event for event in before if isinstance(event, Acted | Decided)]
    assert driver.calls.count("switch") == 1


async def test_cancel_is_refused_in_postcopy() -> None:
    refused: list[str] = []

    def observe(event: Event) -> None:
        if isinstance(event, SampleTaken) and event.sample.phase is Phase.POSTCOPY:
            with pytest.raises(RefusedError, match="destroy the guest"):
                supervisor.ask_to_cancel()
            refused.append("refused")

    driver = FakeDriver(BUSY)
    supervisor = Supervisor(driver, Immediate(), observe=observe)
    outcome = await supervisor.run()
    assert outcome.fate is Fate.COMPLETED
    assert refused
    assert "cancel" not in driver.calls


async def test_everything_is_in_the_journal(tmp_path: Path) -> None:
    seen: list[Event] = []
    driver = FakeDriver(BUSY)
    with Journal(tmp_path / "journal.sqlite") as journal:
        run = journal.begin(
            guest="g", source="a", destination="b", policy="adaptive", driver={}, started_at=1.0
        )
        outcome = await Supervisor(
            driver, Adaptive(), journal=journal, run_id=run.id, observe=seen.append
        ).run()
        assert journal.run(run.id).outcome == outcome
        assert journal.samples(run.id) == [e.sample for e in seen if isinstance(e, SampleTaken)]
        told = [e for e in seen if not isinstance(e, SampleTaken)]
        assert journal.events(run.id) == [(e.at, type(e).__name__, e.text) for e in told]
    decisions = [event for event in told if isinstance(event, Decided)]
    assert decisions[-1].action is Action.SWITCH
    assert all(decision.reason for decision in decisions)
    acted = [event.action for event in told if isinstance(event, Acted)]
    assert acted == [Action.LIMIT_DOWNTIME, Action.SWITCH]


async def test_a_journal_that_breaks_does_not_stop_the_migration(tmp_path: Path) -> None:
    class Full(Journal):
        def record(self, run_id: int, event: Event) -> None:
            raise JournalError("the disk is full")

    seen: list[Event] = []
    driver = FakeDriver(BUSY)
    with Full(tmp_path / "journal.sqlite") as journal:
        outcome = await Supervisor(
            driver, Adaptive(), journal=journal, run_id=1, observe=seen.append
        ).run()
    assert outcome.fate is Fate.COMPLETED
    notes = [event.text for event in seen if isinstance(event, Noted)]
    assert notes == ["going on without the journal: the disk is full"]


async def test_attaching_remembers_the_passes_that_the_journal_saw(tmp_path: Path) -> None:
    class Watching(Precopy):
        seen: tuple[int, ...] = ()

    lengths: list[int] = []

    class Spy:
        name = "spy"
        uses_postcopy = True

        def decide(self, history: History) -> Decision:
            lengths.append(len(history.passes))
            return Decision(Action.SWITCH, "enough")

    driver = FakeDriver(BUSY)
    with Journal(tmp_path / "journal.sqlite") as journal:
        run = journal.begin(
            guest="g", source="a", destination="b", policy="spy", driver={}, started_at=77.0
        )
        for sample in [s async for s in _until_second_pass(driver)]:
            journal.record(run.id, SampleTaken(sample))
        outcome = await Supervisor(FakeDriver(BUSY), Spy(), journal=journal, run_id=run.id).run(
            attach=True
        )
    assert lengths[0] == 1
    assert outcome.started_at == 77.0


async def _until_second_pass(driver: FakeDriver):  # type: ignore[no-untyped-def]
    async for sample in driver.samples():
        yield sample
        if sample.pass_ended:
            return


async def test_a_policy_may_raise_the_downtime_limit_until_precopy_ends() -> None:
    class Raising:
        name = "raising"
        uses_postcopy = False

        def decide(self, history: History) -> Decision:
            if history.downtime_limit < 0.9 and len(history.passes) == 2:
                return Decision(Action.LIMIT_DOWNTIME, "it does not end", 0.9)
            return Decision(Action.CONTINUE, "waiting")

    driver = FakeDriver(BUSY)
    outcome = await Supervisor(driver, Raising(), clock=driver.clock).run()
    assert outcome.fate is Fate.COMPLETED
    assert [call for call in driver.calls if "downtime" in call] == ["downtime 0.9"]


async def test_a_guest_that_is_paused_ends_precopy_and_whoever_attaches_knows(
    tmp_path: Path,
) -> None:
    rule = find("virsh-timeout:timeout=6,action=suspend")
    driver = FakeDriver(BUSY)
    with Journal(tmp_path / "journal.sqlite") as journal:
        run = journal.begin(
            guest="g", source="a", destination="b", policy="x", driver={}, started_at=0.0
        )
        outcome = await Supervisor(
            driver, rule, clock=driver.clock, journal=journal, run_id=run.id
        ).run()
        assert outcome.fate is Fate.COMPLETED
        assert driver.calls.count("pause") == 1
        later = FakeDriver(BUSY)
        await Supervisor(later, Precopy(give_up_after=1), journal=journal, run_id=run.id).run(
            attach=True
        )
        assert later.calls[:2] == ["attach", "pause"]


async def test_a_downtime_limit_that_is_always_refused_stops_nothing() -> None:
    class Stubborn(FakeDriver):
        async def set_downtime_limit(self, seconds: float) -> None:
            raise PostcopyError("never")

    driver = Stubborn(BUSY, poll_seconds=0.01)
    events: list[Event] = []
    outcome = await Supervisor(driver, Adaptive(), observe=events.append, clock=driver.clock).run()
    assert outcome.fate is Fate.COMPLETED
    assert sum(isinstance(event, Noted) for event in events) == 20


async def test_whoever_attaches_sets_the_downtime_limit_anew(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        run = journal.begin(
            guest="g", source="a", destination="b", policy="x", driver={}, started_at=0.0
        )
        await Supervisor(FakeDriver(CALM), Adaptive(), journal=journal, run_id=run.id).run()
        later = FakeDriver(CALM)
        await Supervisor(later, Precopy(), journal=journal, run_id=run.id).run(attach=True)
        assert later.calls[:2] == ["attach", "downtime 0.3"]


def test_a_fold_goes_through_each_sample_once() -> None:
    seen: list[float] = []

    def step(state: int, sample: Sample) -> int:
        seen.append(sample.at)
        return state + sample.remaining_bytes

    history = History(0.3)
    history.add(Sample(at=0, phase=Phase.SETUP, remaining_bytes=100))
    for at in (1.0, 2.0):
        history.add(Sample(at=at, phase=Phase.PRECOPY, remaining_bytes=1))
    assert history.fold(step, 0) == 2
    history.add(Sample(at=3.0, phase=Phase.PRECOPY, remaining_bytes=5))
    assert history.fold(step, 0) == history.fold(step, 0) == 7
    assert seen == [1.0, 2.0, 3.0]


def test_what_is_worked_out_of_a_pass_is_so_once() -> None:
    asked: list[int] = []

    def work_out(history: History) -> int:
        asked.append(len(history.samples))
        return len(history.passes)

    def sample(number: int, at: float, ended: float | None = None) -> Sample:
        return Sample(at=at, phase=Phase.PRECOPY, pass_number=number, pass_ended_at=ended)

    history = History(0.3)
    history.add(sample(2, 1.0, 1.0))
    assert history.once_a_pass(work_out) == 1
    history.add(sample(2, 1.5))
    assert history.once_a_pass(work_out) == 1
    assert asked == [1]
    history.add(sample(3, 2.0, 2.0))
    assert history.once_a_pass(work_out) == 2
    history.downtime_limit = 0.1
    assert history.once_a_pass(work_out) == 2
    assert asked == [1, 3, 3]


guests = st.builds(
    FakeGuest,
    total_bytes=st.integers(50_000_000, 2_000_000_000),
    hot_bytes=st.integers(0, 50_000_000),
    write_rate=st.floats(0, 1e10),
    bandwidth=st.floats(1e7, 1e10),
)


@given(guests, st.sampled_from(["immediate", "after-first-pass", "adaptive"]))
async def test_every_guest_moves_by_every_policy_that_may_switch(
    guest: FakeGuest, policy: str
) -> None:
    events: list[Event] = []
    driver = FakeDriver(guest, poll_seconds=1.0)
    outcome = await Supervisor(
        driver, find(policy), observe=events.append, clock=driver.clock
    ).run()
    assert outcome.fate is Fate.COMPLETED
    assert driver.calls.count("switch") <= 1
    order = phases(events)
    for before, after in itertools.pairwise(order):
        assert after in before.reachable()
