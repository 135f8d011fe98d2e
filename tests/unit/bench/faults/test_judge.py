"""What became of a guest is judged from evidence, and no loss is excused without it."""

from dataclasses import replace

import pytest

from postcopy.bench.faults.evidence import Evidence, Mark, Memory
from postcopy.bench.faults.floor import DESTINATION, SOURCE, Copy, Sight
from postcopy.bench.faults.judge import Fate, judge
from postcopy.bench.faults.model import Fault, Kind, Moment

SWITCHED = 1000.0
WHOLE = Memory(
    pages_checked=16384, pages_wrong=0, rebooted=False, panicked=False, uptime_continuous=True
)
THERE = Copy(DESTINATION, "running", True)
HERE = Copy(SOURCE, "running", True)
LOADING_FAILED = "qemu-system-x86_64: load of migration failed: Input/output error"


def cut_at(at: float, kind: Kind = Kind.RESET) -> Mark:
    return Mark(Fault(kind=kind, moment=Moment.SWITCH, after=0.0), at, at)


MOVED = Evidence(
    started_at=990.0,
    ended_at=1010.0,
    marks=(cut_at(SWITCHED + 1.0),),
    switched_at=SWITCHED,
    heard_at_destination=SWITCHED + 0.1,
    sight=Sight((THERE,)),
    memory=WHOLE,
)
LOST = replace(
    MOVED,
    marks=(cut_at(SWITCHED + 0.02),),
    heard_at_destination=None,
    sight=Sight((Copy(SOURCE, "postmigrate (migration: postcopy-paused)", False),)),
    memory=None,
    words={f"qemu-{DESTINATION}.log": (LOADING_FAILED,)},
)


def test_a_guest_that_arrived_whole() -> None:
    ruling = judge(MOVED)
    assert ruling.fate is Fate.MOVED
    assert ruling.good
    assert not ruling.failed


def test_a_guest_that_stayed_whole() -> None:
    ruling = judge(replace(MOVED, sight=Sight((HERE,))))
    assert ruling.fate is Fate.STAYED
    assert ruling.good


def test_a_guest_that_runs_twice() -> None:
    ruling = judge(replace(MOVED, sight=Sight((HERE, THERE), settled=False)))
    assert ruling.fate is Fate.DOUBLED
    assert ruling.failed


@pytest.mark.parametrize(
    "memory",
    [
        replace(WHOLE, pages_wrong=1),
        replace(WHOLE, rebooted=True),
        replace(WHOLE, panicked=True),
        replace(WHOLE, uptime_continuous=False),
    ],
)
def test_a_guest_that_is_not_what_it_was(memory: Memory) -> None:
    ruling = judge(replace(MOVED, memory=memory))
    assert ruling.fate is Fate.CORRUPTED
    assert ruling.failed


def test_a_guest_that_is_still_between_two_hosts_is_stuck() -> None:
    sight = Sight((Copy(SOURCE, "paused (post-copy failed)", False), THERE), settled=False)
    assert judge(replace(MOVED, sight=sight, memory=None)).fate is Fate.STUCK


def test_a_guest_that_does_not_answer_is_stuck() -> None:
    assert judge(replace(MOVED, memory=None)).fate is Fate.STUCK


def test_wrong_records_are_told() -> None:
    ruling = judge(replace(MOVED, sight=Sight((THERE,), records="it is defined on alpha still")))
    assert ruling.fate is Fate.MISRECORDED
    assert "alpha" in ruling.why
    assert ruling.failed


def test_a_run_that_could_not_be_carried_out_says_nothing() -> None:
    ruling = judge(replace(LOST, trouble="the guest did not boot"))
    assert ruling.fate is Fate.UNTRIED
    assert not ruling.good
    assert not ruling.failed


def test_a_cut_within_milliseconds_of_the_switch_cannot_be_helped() -> None:
    ruling = judge(LOST)
    assert ruling.fate is Fate.LOST
    assert ruling.unavoidable
    assert not ruling.failed
    assert "20 ms after the switch" in ruling.why
    assert LOADING_FAILED in ruling.why
    # A source's libvirt keeps its half, and a job on it.
    kept = judge(replace(LOST, sight=replace(LOST.sight, settled=False)))
    assert kept == ruling


@pytest.mark.parametrize(
    "evidence",
    [
        replace(LOST, marks=()),
        replace(LOST, marks=(cut_at(SWITCHED + 0.02, Kind.CLIENT),)),
        replace(LOST, marks=(cut_at(SWITCHED + 0.4),)),
        replace(LOST, marks=(cut_at(SWITCHED - 0.4),)),
        replace(LOST, switched_at=None),
        replace(LOST, heard_at_destination=SWITCHED + 0.01),
        replace(LOST, words={}),
        replace(LOST, words={f"qemu-{SOURCE}.log": (LOADING_FAILED,)}),
    ],
    ids=[
        "no fault",
        "no cut",
        "too late",
        "too early",
        "no switch",
        "the guest ran there",
        "nothing said",
        "said by the source",
    ],
)
def test_a_loss_without_all_of_the_evidence_is_a_failure(evidence: Evidence) -> None:
    ruling = judge(evidence)
    assert ruling.fate is Fate.LOST
    assert ruling.failed


def test_evidence_is_read_as_it_was_written() -> None:
    for evidence in (MOVED, LOST):
        assert Evidence.from_dict(evidence.to_dict()) == evidence
