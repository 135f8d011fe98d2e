"""One run: faults come when they are due and are mended, and commands that die are replaced."""

from dataclasses import replace
from pathlib import Path

import pytest

from postcopy.bench.faults.execute import execute
from postcopy.bench.faults.floor import DESTINATION, SOURCE, Copy, Sight
from postcopy.bench.faults.judge import Fate, judge
from postcopy.bench.faults.model import Fault, Kind, Moment, Side
from postcopy.lab.records import Beat

from .fakes import MOVES, QUICK, FakeFloor, FakeSubject, plan, says

WHOLE = ["up", "rate 20000000, 0.05 s"]
SPREAD = Sight((Copy(SOURCE, "paused", False), Copy(DESTINATION, "running", True)), settled=False)


def fault(kind: Kind, moment: Moment = Moment.POSTCOPY, **more: object) -> Fault:
    return Fault(**{"kind": kind, "moment": moment, "after": 0.0, **more})  # type: ignore[arg-type]


async def test_a_run_without_faults(tmp_path: Path) -> None:
    subject = FakeSubject([says(*MOVES)])
    evidence = await execute(FakeFloor(subject), plan(), tmp_path, QUICK)
    assert judge(evidence).fate is Fate.MOVED
    assert [command.exit_code for command in evidence.commands] == [0]
    assert evidence.switched_at is not None
    assert subject.done == ["removed"]
    assert MOVES[0] in (tmp_path / "command-1.log").read_text()


@pytest.mark.parametrize(
    ("struck", "done"),
    [
        (fault(Kind.DOWN, seconds=0.1), ["down"]),
        (fault(Kind.DROP, seconds=0.1), ["drop alpha beta"]),
        (fault(Kind.ONE_WAY, seconds=0.1, side=Side.DESTINATION), ["drop beta"]),
        (
            fault(Kind.HALF_OPEN, seconds=0.1, side=Side.DESTINATION),
            ["drop alpha beta", "reset alpha"],
        ),
        (fault(Kind.RESET), ["reset alpha beta"]),
        (fault(Kind.SLOW, seconds=0.1), ["rate 125000, 0.3 s"]),
        (fault(Kind.DELAY, seconds=0.1), ["rate 4000000, 1.0 s"]),
    ],
    ids=lambda value: str(value.kind) if isinstance(value, Fault) else "",
)
async def test_a_link_breaks_and_is_mended(tmp_path: Path, struck: Fault, done: list[str]) -> None:
    floor = FakeFloor(FakeSubject([says(*MOVES, for_seconds=0.4)]))
    evidence = await execute(floor, plan(struck), tmp_path, QUICK)
    assert floor.fake_link.done == [*WHOLE, *done, *WHOLE, *WHOLE]
    [mark] = evidence.marks
    assert mark.at is not None
    assert mark.mended_at is not None
    assert mark.mended_at - mark.at >= struck.seconds


async def test_one_fault_of_a_link_waits_for_the_other(tmp_path: Path) -> None:
    floor = FakeFloor(FakeSubject([says(*MOVES, for_seconds=0.8)]))
    both = (fault(Kind.DOWN, seconds=0.2), fault(Kind.DROP, seconds=0.2))
    first, second = (await execute(floor, plan(*both), tmp_path, QUICK)).marks
    assert first.mended_at is not None
    assert second.at is not None
    assert second.mended_at is not None
    assert second.at > first.mended_at - 0.05
    assert second.mended_at - second.at >= 0.2


async def test_a_fault_whose_moment_never_comes_is_not_done(tmp_path: Path) -> None:
    floor = FakeFloor(FakeSubject([says(*MOVES)]))
    evidence = await execute(floor, plan(fault(Kind.DOWN, Moment.RECOVERY)), tmp_path, QUICK)
    assert evidence.marks[0].at is None
    assert "down" not in floor.fake_link.done


async def test_what_is_broken_at_the_end_is_mended(tmp_path: Path) -> None:
    subject = FakeSubject([says(*MOVES)])
    floor = FakeFloor(subject)
    broken = (
        fault(Kind.DOWN, seconds=60),
        fault(Kind.MONITOR, seconds=60, side=Side.SOURCE),
    )
    evidence = await execute(floor, plan(*broken), tmp_path, QUICK)
    assert subject.done == ["monitor stopped at source", "mended", "removed"]
    assert floor.fake_link.done[-2:] == WHOLE
    assert all(mark.mended_at is not None for mark in evidence.marks)


async def test_a_killed_command_is_followed_by_another(tmp_path: Path) -> None:
    subject = FakeSubject([says(*MOVES, for_seconds=60), says("attached")])
    evidence = await execute(
        FakeFloor(subject), plan(fault(Kind.CLIENT, seconds=0.1)), tmp_path, QUICK
    )
    first, second = evidence.commands
    assert first.killed
    assert not second.by_hand
    assert second.exit_code == 0
    assert judge(evidence).fate is Fate.MOVED


async def test_a_command_that_gives_up_is_followed_by_hand(tmp_path: Path) -> None:
    subject = FakeSubject([says(code=1), says()])
    subject.looks = [SPREAD]
    evidence = await execute(FakeFloor(subject), plan(), tmp_path, replace(QUICK, doubt=0.0))
    assert [command.by_hand for command in evidence.commands] == [False, True]


async def test_a_guest_that_nobody_helps_is_stuck_when_its_time_is_over(tmp_path: Path) -> None:
    subject = FakeSubject([says(*MOVES, code=1)], helped=False)
    subject.looks = [SPREAD] * 100
    evidence = await execute(FakeFloor(subject), plan(), tmp_path, QUICK)
    assert judge(evidence).fate is Fate.STUCK


async def test_a_guest_that_does_not_boot_proves_nothing(tmp_path: Path) -> None:
    evidence = await execute(FakeFloor(), plan(), tmp_path, QUICK)
    assert judge(evidence).fate is Fate.UNTRIED


@pytest.mark.parametrize(("pace", "fate"), [(1.0, Fate.CORRUPTED), (7.0, Fate.UNTRIED)])
async def test_a_clock_that_was_wrong_since_the_boot_proves_nothing(
    tmp_path: Path, pace: float, fate: Fate
) -> None:
    subject = FakeSubject([says(*MOVES)])
    subject.continuous = False
    subject.beats = [Beat(second, second, second * pace, 0, 0) for second in range(5)]
    evidence = await execute(FakeFloor(subject), plan(), tmp_path, QUICK)
    assert judge(evidence).fate is fate
