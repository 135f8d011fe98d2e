"""The guard, over hosts that are only made up."""

import asyncio
import contextlib
import gc
import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence

import pytest

from postcopy.errors import JournalError, PostcopyError, RefusedError, RetryableError
from postcopy.migration.outcome import Fate, Outcome
from postcopy.migration.phase import Phase
from postcopy.testing import FakeClock, FakeWindow
from postcopy.watch import Guard, Kind, Notice, Spread, State, Window

A, B = "qemu:///a", "qemu:///b"


class Stepped(FakeClock):
    """A clock on which many sleep at once, as in the world: it goes on when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._count), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Let that much time pass."""
        end = self._now + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
                await self._settle()
        self._now = end

    async def _settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


class World:
    """Two hosts, a guard over them, and what it does."""

    def __init__(self, **options: bool) -> None:
        self.clock = Stepped()
        self.a, self.b = FakeWindow(A, self.clock), FakeWindow(B, self.clock)
        self.notices: list[Notice] = []
        self.tended: list[str] = []
        self.claimed: set[str] = set()
        self.held: set[str] = set()
        self.end: Callable[[Spread], Fate | PostcopyError | Exception | None] = self.arrive
        self.guard = Guard(
            [self.a, self.b], self.tend, self.claim, tell=self.notices.append, clock=self.clock,
            **options,
        )  # fmt: skip

    def interrupt(self, *names: str) -> None:
        for name in names:
            self.a.guests[name], self.b.guests[name] = State.STRANDED, State.ARRIVING

    def arrive(self, spread: Spread) -> Fate:
        del self.a.guests[spread.name]
        self.b.guests[spread.name] = State.RUNNING
        return Fate.COMPLETED

    async def tend(
        self, spread: Spread, hosts: Sequence[Window], tell: Callable[[Kind, str], None]
    ) -> Outcome:
        self.tended.append(spread.name)
        assert [host.uri for host in hosts] == [A, B]
        assert {spread.name, spread.uuid} <= self.held
        await self.clock.sleep(0.5)
        end = self.end(spread)
        if isinstance(end, Exception):
            raise end
        if end is None:
            await asyncio.Event().wait()
        assert isinstance(end, Fate)
        now = self.clock.now()
        return Outcome(
            fate=end, phase=Phase.UNKNOWN, started_at=now, ended_at=now, error="so it went",
            recoveries=1, interrupted_seconds=2.0,
        )  # fmt: skip

    @contextlib.contextmanager
    def claim(self, name: str, uuid: str) -> Iterator[None]:
        if name in self.claimed | self.held:
            raise RefusedError(f"guest {name!r} is already being migrated by process 7")
        self.held.add(name)
        try:
            yield
        finally:
            self.held.remove(name)

    async def run_for(self, seconds: float, then: Callable[[], None] = lambda: None) -> None:
        """Let the guard run for that long, change something, and run on for as long again."""
        task = asyncio.create_task(self.guard.run())
        await self.clock.advance(seconds)
        then()
        await self.clock.advance(seconds)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert self.held == set()

    def said(self, kind: Kind) -> list[str]:
        return [notice.text for notice in self.notices if notice.kind is kind]


async def test_what_was_interrupted_before_it_began_is_recovered_once() -> None:
    world = World()
    world.interrupt("web1")
    await world.run_for(60)
    assert world.tended == ["web1"]
    [seen] = [notice for notice in world.notices if notice.kind is Kind.INTERRUPTED]
    assert (seen.guest, seen.source, seen.destination) == ("web1", A, B)
    assert seen.text == (
        f"paused (post-copy failed) at {A}, running (post-copy) at {B}: recovering it"
    )
    assert world.said(Kind.ARRIVED) == [
        f"it runs at {B}; connected again once, interrupted for 2.00 s in all"
    ]


async def test_several_at_once_and_one_that_comes_later() -> None:
    world = World()
    world.interrupt("web1", "web2", "web3")
    await world.run_for(20, lambda: world.interrupt("db"))
    assert sorted(world.tended) == ["db", "web1", "web2", "web3"]


async def test_one_that_somebody_looks_after_is_left_until_that_one_is_gone() -> None:
    world = World()
    world.interrupt("web1")
    world.claimed = {"uuid-web1"}  # as whoever moves a server by its UUID
    await world.run_for(60)
    assert world.tended == []
    assert world.said(Kind.CLAIMED) == [
        "left to another one: guest 'uuid-web1' is already being migrated by process 7"
    ]
    world = World()
    world.interrupt("web1")
    world.claimed = {"web1"}
    await world.run_for(60, world.claimed.clear)
    assert world.tended == ["web1"]


async def test_a_lock_that_cannot_be_written_keeps_nobody_from_being_recovered() -> None:
    world = World()

    def claim(name: str, uuid: str) -> contextlib.AbstractContextManager[None]:
        raise JournalError(f"cannot write the lock {name}.lock: No space left on device")

    world.guard = Guard(
        [world.a, world.b], world.tend, claim, tell=world.notices.append, clock=world.clock
    )
    world.held = {"web1", "uuid-web1"}  # as far as `tend` is concerned
    world.interrupt("web1")
    task = asyncio.create_task(world.guard.once())
    await world.clock.advance(10)
    await task
    assert world.tended == ["web1"]
    [note] = world.said(Kind.NOTE)
    assert "going on without a claim: cannot write the lock" in note


async def test_a_dry_run_touches_nothing() -> None:
    world = World(dry_run=True)
    world.interrupt("web1")
    world.a.guests["web2"], world.b.guests["web2"] = State.LEAVING, State.ARRIVING
    await world.run_for(60)
    assert world.tended == []
    assert [text.partition(": ")[2] for text in world.said(Kind.INTERRUPTED)] == [
        "would be recovered"
    ]
    assert [text.partition(": ")[2] for text in world.said(Kind.UNDER_WAY)] == [
        "would be looked after"
    ]


async def test_a_host_that_goes_away_is_told_once_and_tried_more_rarely() -> None:
    world = World()
    world.b.away = "no route"
    await world.run_for(1700)
    assert len(world.said(Kind.HOST_AWAY)) == 1
    assert 55 < world.b.tries < 65  # once a minute in the end
    assert world.a.looks > 650


async def test_a_host_that_comes_and_goes_is_told_each_time_and_no_flood() -> None:
    world = World()
    world.interrupt("web1")
    world.b.away = "no route"

    def come() -> None:
        world.b.away = ""

    await world.run_for(120, come)
    assert world.said(Kind.HOST_BACK) == [f"{B} answers again"]
    assert world.tended == ["web1"]
    assert len(world.said(Kind.LEFT)) == 1  # its destination was away
    assert not world.b.opened  # it was let go


async def test_a_host_that_is_named_by_two_uris_is_watched_once() -> None:
    world = World()
    world.b.uuid = world.a.uuid
    world.interrupt("web1")
    await world.run_for(60)
    assert "same host" in world.said(Kind.HOST_AWAY)[0]
    assert world.tended == []


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (RetryableError("too early"), "not recovered yet: too early; it is tried again"),
        (Fate.UNKNOWN, "not recovered yet: unknown: so it went; it is tried again"),
        (KeyError("web1"), "not recovered yet: internal: KeyError: 'web1'; it is tried again"),
    ],
)
async def test_what_did_not_help_is_tried_again_more_and_more_rarely(
    end: Fate | Exception, text: str
) -> None:
    world = World()
    world.interrupt("web1")
    world.end = lambda spread: end
    await world.run_for(1500)
    assert 8 < len(world.tended) < 25
    assert world.said(Kind.FAILED) == [text]


async def test_a_loss_is_told_once_and_looked_at_again_when_something_has_changed() -> None:
    world = World()
    world.interrupt("web1")
    world.end = lambda spread: Fate.FAILED

    def change() -> None:
        world.b.guests["web1"] = State.HALTED
        world.end = world.arrive

    await world.run_for(1000, change)
    assert world.tended == ["web1", "web1"]
    assert world.said(Kind.FAILED) == ["not recovered: so it went"]


async def test_being_ended_in_the_middle_of_a_recovery_lets_go_of_it() -> None:
    world = World()
    world.interrupt("web1")
    world.end = lambda spread: None  # waits for ever
    await world.run_for(60)
    assert world.tended == ["web1"]
    assert world.said(Kind.FAILED) == []
    assert [world.a.opened, world.b.opened] == [False, False]


async def test_a_problem_that_lasts_for_a_moment_is_none() -> None:
    world = World()
    world.a.guests["web1"] = State.LEAVING

    def arrive() -> None:
        world.b.guests["web1"] = State.ARRIVING

    await world.run_for(1.0, arrive)
    assert world.said(Kind.LEFT) == []


async def test_once_recovers_what_is_there_and_says_what_is_left() -> None:
    world = World()
    world.interrupt("web1", "web2", "web3")
    world.a.guests["lonely"] = State.STRANDED
    world.claimed = {"web2"}
    world.end = lambda spread: Fate.FAILED if spread.name == "web3" else world.arrive(spread)
    round_ = asyncio.create_task(world.guard.once())
    await world.clock.advance(10)
    report = await round_
    assert sorted(world.tended) == ["web1", "web3"]
    assert sorted(report.open) == ["lonely", "web3"]
    assert report.silent == []
    assert [world.a.opened, world.b.opened] == [False, False]
    world = World()
    world.b.away = "no route"
    assert (await world.guard.once()).silent == [B]


async def test_weeks_of_looks_interruptions_and_absences_leave_nothing_behind() -> None:
    world = World()

    async def weeks(rounds: int) -> None:
        task = asyncio.create_task(world.guard.run())
        for number in range(rounds):
            world.interrupt(f"guest-{number}")
            world.b.away = "no route" if number % 3 == 0 else ""
            await world.clock.advance(30)
            world.b.away = ""
            await world.clock.advance(120)
            world.a.guests.clear()
            world.b.guests.clear()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        world.notices.clear()
        world.tended.clear()
        gc.collect()

    await weeks(5)
    before = len(gc.get_objects())
    await weeks(100)
    assert world.a.looks > 2000
    assert len(gc.get_objects()) - before < 200
    assert len(asyncio.all_tasks()) == 1
