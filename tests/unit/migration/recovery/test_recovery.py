"""Cuts, and what becomes of the guest, from what both sides say to how the run ends."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.migration import Fate, Journal, Phase, Sample, Supervisor
from postcopy.migration.event import Event, Recovered
from postcopy.migration.recovery import (
    Connection,
    Ending,
    Half,
    Look,
    Recovery,
    StallWatch,
    Step,
    next_step,
)
from postcopy.policy import Immediate
from postcopy.testing import FakeClock, FakeDriver, FakeRescue


async def recover(rescue: FakeRescue, cut: str = "", limit: float | None = None) -> Ending:
    recovery = Recovery(rescue, rescue.clock, tell=lambda line: None, limit=limit)
    return (await recovery.run(cut)).ending


@given(st.sampled_from(Half), st.sampled_from(Half), st.booleans(), st.booleans())
def test_nothing_is_connected_unless_both_sides_are_paused(
    source: Half, destination: Half, cut: bool, broken: bool
) -> None:
    both = {"source", "destination"} if broken else set()
    if next_step(Look(source, destination), cut=cut, broken=both) is Step.CONNECT:
        # A side that hangs cannot say so, and was made to.
        paused = {Half.PAUSED} | ({Half.HUNG} if broken else set())
        assert {source, destination} <= paused


def test_a_side_that_is_gone_is_a_loss_unless_the_other_has_everything() -> None:
    assert next_step(Look(Half.PAUSED, Half.GONE), cut=False) is Step.LOST
    assert next_step(Look(Half.GONE, Half.ACTIVE), cut=True) is Step.LOST
    assert next_step(Look(Half.GONE, Half.DONE), cut=True) is Step.ARRIVED
    assert next_step(Look(Half.PAUSED, Half.DONE), cut=False) is Step.ARRIVED
    assert next_step(Look(Half.ACTIVE, Half.DONE), cut=True) is Step.ARRIVED
    assert next_step(Look(Half.ACTIVE, Half.DONE), cut=False) is Step.GO_ON


def test_a_source_that_has_not_heard_of_the_cut_is_told() -> None:
    """Only the destination's end of the connection is gone: the other half is open still."""
    for cut in (False, True):
        step = next_step(Look(Half.ACTIVE, Half.PAUSED), cut=cut)
        assert step is Step.BREAK_OFF_SOURCE
    assert next_step(Look(Half.ACTIVE, Half.ACTIVE), cut=False) is Step.GO_ON


async def test_a_connection_that_only_the_destination_knows_to_be_dead_is_made_again() -> None:
    rescue = FakeRescue()
    rescue.source, rescue.destination = Half.ACTIVE, Half.PAUSED
    assert await recover(rescue) is Ending.RECOVERED
    assert rescue.calls == ["break off source", "connect"]


async def test_one_that_was_at_its_end_before_anybody_looked_again_was_recovered() -> None:
    """Both daemons were silent meanwhile, as busy ones are."""
    rescue = FakeRescue()
    rescue.cut(noticed=True)
    connect, look_before = rescue.connect, rescue.look
    told_at: list[float] = []

    async def look() -> Look:
        if not told_at:
            return await look_before()
        await rescue.clock.sleep(0.1)
        over = rescue.clock.now() - told_at[0] > 4.0
        return Look(Half.DONE, Half.DONE) if over else Look(Half.SILENT, Half.SILENT)

    async def connecting() -> None:
        await connect()
        told_at.append(rescue.clock.now())

    rescue.look, rescue.connect = look, connecting  # type: ignore[method-assign]
    recovery = Recovery(rescue, rescue.clock, tell=lambda line: None)
    assert (await recovery.run()).ending is Ending.RECOVERED
    assert recovery.connected


async def test_a_destination_whose_word_is_behind_is_waited_for() -> None:
    """Its daemon was restarted to connect it: taken at its word, it would be cut off for ever."""
    rescue = FakeRescue(behind_seconds=3.0)
    rescue.cut(noticed=True)
    assert await recover(rescue) is Ending.RECOVERED
    assert rescue.calls == ["break off destination", "connect"]


def test_a_source_that_goes_on_is_left_alone_when_nobody_could_pause_the_other_side() -> None:
    assert next_step(Look(Half.ACTIVE, Half.SILENT), cut=True) is Step.GO_ON
    assert next_step(Look(Half.PAUSED, Half.SILENT), cut=True) is Step.WAIT


@given(
    outage=st.floats(0, 500),
    refusals=st.integers(0, 5),
    broken_connects=st.integers(0, 5),
    hung=st.booleans(),
    blind=st.booleans(),
    noticed=st.booleans(),
)
async def test_whatever_happens_both_sides_are_connected_in_the_end(
    outage: float, refusals: int, broken_connects: int, hung: bool, blind: bool, noticed: bool
) -> None:
    rescue = FakeRescue(
        outage_seconds=outage,
        refusals=refusals,
        broken_connects=broken_connects,
        hung=hung,
        blind=blind,
    )
    rescue.cut(noticed=noticed)
    assert await recover(rescue, cut="" if noticed else "nothing comes") is Ending.RECOVERED
    assert (rescue.source, rescue.destination) == (Half.ACTIVE, Half.ACTIVE)


async def test_a_link_that_is_back_is_used_at_once() -> None:
    rescue = FakeRescue(outage_seconds=60.0)
    rescue.cut(noticed=True)
    began = rescue.clock.now()
    await recover(rescue)
    assert rescue.clock.now() - began < 60.5
    assert rescue.calls.count("connect") == 1


async def test_what_nobody_can_break_off_is_left_to_tcp_until_that_gets_an_answer() -> None:
    rescue = FakeRescue(outage_seconds=200.0)
    rescue.cut(noticed=False)
    rescue.destination = Half.UNKNOWN  # it has not taken the guest over yet
    assert await recover(rescue, "a dead link") is Ending.RECOVERED
    assert rescue.clock.now() >= 200.0
    assert rescue.calls == []


async def test_it_tries_for_as_long_as_it_was_told_and_leaves_the_guest_as_it_was() -> None:
    rescue = FakeRescue(outage_seconds=3600.0)
    rescue.cut(noticed=True)
    began = rescue.clock.now()
    assert await recover(rescue, limit=30.0) is Ending.GIVEN_UP
    assert 30.0 <= rescue.clock.now() - began < 32.0
    assert (rescue.source, rescue.destination) == (Half.PAUSED, Half.PAUSED)


async def test_what_nobody_understands_is_not_acted_on() -> None:
    rescue = FakeRescue()
    rescue.cut(noticed=True)
    rescue.destination = Half.UNKNOWN
    assert await recover(rescue) is Ending.UNCLEAR
    assert rescue.calls == []


async def test_a_side_is_given_up_when_it_has_been_gone_for_seconds() -> None:
    rescue = FakeRescue()
    rescue.cut(noticed=True)
    rescue.destination = Half.GONE
    began = rescue.clock.now()
    assert await recover(rescue) is Ending.LOST
    assert rescue.clock.now() - began >= 5.0
    assert rescue.calls == []


async def test_one_that_takes_over_in_the_middle_goes_on_alike() -> None:
    """Stopped after each of its looks in turn, another always brings it to its end."""
    for stop_after in itertools.count(1):
        rescue = FakeRescue(outage_seconds=2.0, refusals=1, broken_connects=1)
        rescue.cut(noticed=True)
        looks = itertools.count(1)

        class Killed(BaseException):
            pass

        def see(
            phase: Phase, words: str, *, looks: Iterator[int] = looks, last: int = stop_after
        ) -> None:
            if next(looks) == last:
                raise Killed

        try:
            first = Recovery(rescue, rescue.clock, tell=lambda line: None, see=see)
            await first.run()
        except Killed:
            assert await recover(rescue) is Ending.RECOVERED
            assert (rescue.source, rescue.destination) == (Half.ACTIVE, Half.ACTIVE)
        else:
            assert stop_after > 5
            return


@pytest.mark.parametrize(("outage", "broken_off"), [(60.0, True), (0.0, False)])
async def test_a_handshake_whose_answer_is_lost_is_broken_off_if_the_path_is_dead(
    outage: float, broken_off: bool
) -> None:
    """The source has nothing on its way: it waits for what the destination has to say."""

    class Waiting(FakeRescue):
        async def look(self) -> Look:
            await self.clock.sleep(0.1)
            if self.clock.now() - began > 5.0 and self.carries:
                self.source = self.destination = Half.ACTIVE
            return Look(self.source, self.destination)

        async def connection(self) -> Connection:
            return Connection(count=2)

    rescue = Waiting(outage_seconds=outage)
    began = rescue.clock.now()
    rescue.cut(noticed=True)
    rescue.source = rescue.destination = Half.CONNECTING
    assert await recover(rescue) is Ending.RECOVERED
    assert ("break off source and destination" in rescue.calls) is broken_off


async def test_a_destination_that_waits_for_a_source_that_gave_up_is_broken_off_soon() -> None:
    rescue = FakeRescue()
    rescue.source, rescue.destination = Half.PAUSED, Half.CONNECTING
    began = rescue.clock.now()
    assert await recover(rescue) is Ending.RECOVERED
    assert rescue.calls[0] == "break off destination"
    assert rescue.clock.now() - began < 2.0


class TestStall:
    """What a supervisor concludes while no hypervisor says anything."""

    class Wire:
        def __init__(self, connection: Connection | None, answers: bool | None = None) -> None:
            self._connection = connection
            self._answers = answers

        async def prepare(self) -> None:
            pass

        async def connection(self) -> Connection | None:
            return self._connection

        async def wait(self, seconds: float) -> bool | None:
            return self._answers

    async def noticed(
        self,
        connection: Connection | None,
        seconds: float = 30.0,
        *,
        answers: bool | None = None,
    ) -> float | None:
        """Return after how many seconds of standstill the connection is taken for dead."""
        watch, clock = StallWatch(), FakeClock(0.0)
        while clock.now() < seconds:
            sample = Sample(
                at=clock.now(), phase=Phase.POSTCOPY, transferred_bytes=1, remaining_bytes=9
            )
            if await watch.judge(sample, self.Wire(connection, answers)):
                return clock.now()
            await clock.sleep(0.05)
        return None

    async def test_a_dead_link_is_noticed_within_two_seconds(self) -> None:
        silent = Connection(count=2, unacknowledged_bytes=1, silent_seconds=1.0, retransmissions=3)
        at = await self.noticed(silent)
        assert at is not None
        assert at < 2.0
        gone = await self.noticed(Connection(count=0))
        assert gone is not None
        assert gone < 2.0

    async def test_a_link_on_which_nothing_is_sent_is_dead_if_nobody_answers(self) -> None:
        """The source's own end is down: its kernel has nothing on the way that could be lost."""
        at = await self.noticed(Connection(count=2), answers=False)
        assert at is not None
        assert at < 2.0
        at = await self.noticed(Connection(count=2), answers=True)
        assert at is not None
        assert at > 5.0

    async def test_a_slow_link_is_left_alone(self) -> None:
        slow = Connection(count=2, unacknowledged_bytes=10**6, silent_seconds=0.2)
        once = Connection(count=2, unacknowledged_bytes=1, silent_seconds=1.5, retransmissions=1)
        assert not await self.noticed(once)
        assert await self.noticed(slow) is None

    async def test_where_nothing_can_be_looked_at_it_takes_longer(self) -> None:
        at = await self.noticed(None)
        assert at is not None
        assert 5.0 < at < 10.0

    async def test_one_line_says_what_was_seen_and_concluded(self) -> None:
        watch = StallWatch()
        silent = Connection(count=1, unacknowledged_bytes=1, silent_seconds=1.0, retransmissions=3)
        told = ""
        for at in (0.0, 1.5):
            sample = Sample(at=at, phase=Phase.POSTCOPY, remaining_bytes=9, requests=2)
            told = await watch.judge(sample, self.Wire(silent))
        assert told.startswith("nothing sent for 1.50 s")
        assert "2 pages asked for by name" in told
        assert told.endswith("the link is dead, not slow")


@pytest.mark.parametrize("noticed", [True, False])
@pytest.mark.parametrize("breaks", [1, 3])
async def test_a_migration_rides_out_its_cuts(noticed: bool, breaks: int) -> None:
    clock = FakeClock()
    events: list[Event] = []
    driver = FakeDriver(
        clock=clock,
        break_after=0.3,
        breaks=breaks,
        noticed=noticed,
        rescue=FakeRescue(clock, outage_seconds=5.0),
    )
    outcome = await Supervisor(driver, Immediate(), clock=clock, observe=events.append).run()
    assert outcome.fate is Fate.COMPLETED
    assert outcome.recoveries == breaks
    assert breaks * 3.0 < outcome.interrupted_seconds < breaks * 7.0
    assert outcome.error == ""
    told = [event.text for event in events if isinstance(event, Recovered)]
    assert any("path between them carries nothing" in line for line in told)


async def test_a_recovery_is_told_once_however_long_the_hypervisor_s_word_is_behind() -> None:
    class Behind(FakeDriver):
        """Calls the migration interrupted for a second after it has gone on."""

        cut_at = 0.0

        async def samples(self) -> AsyncIterator[Sample]:
            if self.cut_at and self.clock.now() - self.cut_at < 1.0:
                yield Sample(at=self.clock.now(), phase=Phase.PAUSED)
                return
            async for sample in super().samples():
                if sample.phase is Phase.PAUSED and not self.cut_at:
                    self.cut_at = self.clock.now()
                yield sample

    clock = FakeClock()
    events: list[Event] = []
    driver = Behind(clock=clock, break_after=0.3, rescue=FakeRescue(clock))
    outcome = await Supervisor(driver, Immediate(), clock=clock, observe=events.append).run()
    assert (outcome.fate, outcome.recoveries) == (Fate.COMPLETED, 1)
    told = [event.step for event in events if isinstance(event, Recovered)]
    assert [line.startswith("recovered") for line in told].count(True) == 1


async def test_one_that_has_arrived_unknown_to_its_source_is_brought_to_its_end() -> None:
    class Arrived(FakeRescue):
        async def look(self) -> Look:
            return Look(Half.GONE, Half.DONE)

    clock = FakeClock()
    rescue = Arrived(clock)
    driver = FakeDriver(clock=clock, break_after=0.3, rescue=rescue)
    outcome = await Supervisor(driver, Immediate(), clock=clock).run()
    assert (outcome.fate, rescue.calls) == (Fate.COMPLETED, ["arrived"])


async def test_recovery_can_be_left_out() -> None:
    clock = FakeClock()
    rescue = FakeRescue(clock)
    driver = FakeDriver(clock=clock, break_after=0.3, rescue=rescue)
    outcome = await Supervisor(driver, Immediate(), clock=clock, recover=False).run()
    assert (outcome.fate, rescue.calls) == (Fate.INTERRUPTED, [])


async def test_a_bound_ends_in_an_interrupted_run_that_says_so() -> None:
    clock = FakeClock()
    driver = FakeDriver(clock=clock, break_after=0.3, rescue=FakeRescue(clock, outage_seconds=1e6))
    supervisor = Supervisor(driver, Immediate(), clock=clock, recover_seconds=20.0)
    outcome = await supervisor.run()
    assert outcome.fate is Fate.INTERRUPTED
    assert "not recovered within 20" in outcome.error


async def test_a_loss_is_told_as_one_with_what_is_left() -> None:
    clock = FakeClock()

    class Gone(FakeRescue):
        async def look(self) -> Look:
            return Look(Half.PAUSED, Half.GONE, "libvirt says paused and libvirt says not there")

    driver = FakeDriver(clock=clock, break_after=0.3, rescue=Gone(clock))
    outcome = await Supervisor(driver, Immediate(), clock=clock).run()
    assert outcome.fate is Fate.FAILED
    assert "the destination is gone, and with it what the source lacks" in outcome.error
    assert outcome.hint.startswith("the guest is lost")
    assert "start the guest anew from its disks" in outcome.hint


async def test_every_step_is_in_the_journal(tmp_path: Path) -> None:
    clock = FakeClock()
    driver = FakeDriver(clock=clock, break_after=0.3, rescue=FakeRescue(clock, outage_seconds=2.0))
    with Journal(tmp_path / "journal.sqlite") as journal:
        run = journal.begin(
            guest="g", source="a", destination="b", policy="immediate", driver={}, started_at=0.0
        )
        await Supervisor(driver, Immediate(), clock=clock, journal=journal, run_id=run.id).run()
        steps = [text for _, kind, text in journal.events(run.id) if kind == "Recovered"]
        ended = journal.run(run.id).outcome
    assert ended is not None
    assert ended.recoveries == 1
    assert [step.split(":")[1].strip() for step in steps] == [
        "break off the destination", "wait", "the path carries packets", "connect", "recovered",
    ]  # fmt: skip
