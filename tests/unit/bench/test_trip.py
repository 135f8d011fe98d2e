"""One move, as far as it needs no hypervisor: how virsh is called, and what its end means."""

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from postcopy.bench import execute as execution
from postcopy.bench import trip as trips
from postcopy.bench.execute import execute
from postcopy.bench.load.answers import Answers
from postcopy.bench.method import Method
from postcopy.bench.stand import Stand
from postcopy.bench.trip import Trip
from postcopy.errors import UnavailableError
from postcopy.lab.observer import Observation
from postcopy.lab.records import Beat, Verdict
from postcopy.migration.decision import Action
from postcopy.migration.event import Acted
from postcopy.migration.journal import Journal
from postcopy.migration.outcome import Fate
from postcopy.processes import Completed

from .runs import HOT


class FakeHost:
    """A lab host whose virsh ends as the test says."""

    name = "beta"
    data_address = "198.18.0.2"
    control_address = "198.19.0.2"
    runtime_dir = Path("/run/postcopy/lab/t/beta")

    def __init__(self, code: int = 0, said: str = "") -> None:
        self.code, self.said = code, said
        self.commands: list[tuple[str, ...]] = []

    async def run(self, *command: str, **_: Any) -> Completed:
        self.commands.append(command)
        return Completed(self.code, "", self.said)


def domain(host: FakeHost, ends_at: str | None) -> Any:
    async def where() -> str:
        if ends_at is None:
            raise UnavailableError("it runs on no host")
        return ends_at

    return SimpleNamespace(hosts={"alpha": host, "beta": host}, uuid="U", where=where)


async def by_virsh(host: FakeHost, ends_at: str | None) -> Trip:
    method = Method.parse("virsh:timeout=4")
    return await trips._by_virsh(domain(host, ends_at), "alpha", "beta", method, 20.0)


async def test_virsh_is_called_as_somebody_there_would() -> None:
    host = FakeHost()

    trip = await by_virsh(host, "beta")

    assert host.commands == [
        (
            *("virsh", "migrate", "--live", "--p2p", "--persistent", "--undefinesource"),
            *("--postcopy", "--timeout", "4", "--timeout-postcopy"),
            *("U", "qemu+tcp://198.19.0.2/system"),
        )
    ]
    assert trip.fate is Fate.COMPLETED
    assert 0 <= trip.total_seconds < 1


@pytest.mark.parametrize(
    ("code", "said", "ends_at"),
    [(1, "error: lost", "alpha"), (1, "error: late", "beta"), (0, "", "alpha"), (0, "", None)],
)
async def test_what_virsh_says_is_not_believed_alone(
    code: int, said: str, ends_at: str | None
) -> None:
    trip = await by_virsh(FakeHost(code, said), ends_at)

    assert (trip.fate, trip.error) == (Fate.FAILED, said)


@pytest.mark.parametrize(
    ("action", "where", "expected"),
    [
        (Action.CANCEL, "alpha", True),
        (Action.CANCEL, "beta", False),
        (Action.CANCEL, None, False),
        (Action.SWITCH, "alpha", False),
    ],
)
async def test_a_failure_after_it_was_called_off_is_none(
    tmp_path: Path, action: Action, where: str | None, expected: bool
) -> None:
    with Journal(tmp_path / "j") as journal:
        run = journal.begin(
            guest="g", source="alpha", destination="beta", policy="p", driver={}, started_at=1.0
        )
        journal.record(run.id, Acted(2.0, action))
        guest = domain(FakeHost(), where)

        assert await trips._was_called_off(guest, "alpha", journal, run.id) is expected


def observation(**changes: Any) -> Observation:
    found = {
        "baseline_rate": 5000.0,
        "longest_freeze_seconds": 0.2,
        "guest_seconds_lost": 0.7,
        "pages_wrong_seen": 0,
        "rebooted": False,
        "panicked": False,
        "uptime_continuous": True,
        "beats": 100,
        "progress": (),
    }
    return Observation(**{**found, **changes})


class FakeGuest:
    """A guest that has been watched."""

    def __init__(self, seen: Observation, wrong: int = 0) -> None:
        self._seen, self._wrong = seen, wrong
        self.verified = 0

    def observe(self, started_at: float, ended_at: float, *, before: float) -> Observation:
        assert (started_at, ended_at, before) == (1000.0, 1005.0, 2.0)
        return self._seen

    async def verify(self) -> Verdict:
        self.verified += 1
        return Verdict(0.0, 100, self._wrong, None)


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None:
        del seconds

    monkeypatch.setattr(execution, "asyncio", SimpleNamespace(sleep=sleep))


def travelling(monkeypatch: pytest.MonkeyPatch, fate: Fate) -> None:
    async def travel(*_: Any) -> Trip:
        return Trip(fate=fate, started_at=1000.0, ended_at=1005.0, total_seconds=4.9, passes=3)

    monkeypatch.setattr(execution, "travel", travel)


async def measure(guest: FakeGuest, load: Any = None) -> Any:
    stand = Stand(guest, load)  # type: ignore[arg-type]
    method = Method.parse("adaptive")
    return await execute(stand, HOT, method, 2, None, patience=20.0)  # type: ignore[arg-type]


@pytest.mark.usefixtures("no_waiting")
async def test_the_guest_is_the_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    travelling(monkeypatch, Fate.COMPLETED)

    found = await measure(FakeGuest(observation()))

    assert (found.method, found.repeat, found.total_seconds, found.passes) == (
        "adaptive",
        2,
        4.9,
        3,
    )
    assert (found.longest_freeze_seconds, found.guest_seconds_lost) == (0.2, 0.7)
    assert found.cost(0.1) == pytest.approx(0.49 + 0.7)
    assert found.intact
    assert not found.error


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    ("seen", "wrong", "words"),
    [
        (observation(), 3, "3 pages are wrong"),
        (observation(pages_wrong_seen=2), 0, "2 pages are wrong"),
        (observation(rebooted=True, uptime_continuous=False), 0, "it rebooted"),
        (observation(panicked=True), 0, "it panicked"),
        (observation(uptime_continuous=False), 0, "its clock leapt"),
    ],
)
async def test_whatever_befalls_a_guest_is_told(
    monkeypatch: pytest.MonkeyPatch, seen: Observation, wrong: int, words: str
) -> None:
    travelling(monkeypatch, Fate.COMPLETED)

    found = await measure(FakeGuest(seen, wrong))

    assert not found.intact
    assert words in found.error


@pytest.mark.usefixtures("no_waiting")
async def test_a_guest_that_is_lost_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    travelling(monkeypatch, Fate.INTERRUPTED)
    guest = FakeGuest(observation())

    found = await measure(guest)

    assert found.fate is Fate.INTERRUPTED
    assert guest.verified == 0


async def none_lost(answers: Answers) -> int:
    return 0


@pytest.mark.usefixtures("no_waiting")
async def test_a_server_that_lost_a_write_has_not_come_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    travelling(monkeypatch, Fate.COMPLETED)

    async def answers() -> Answers:
        return Answers((), acknowledged={3: 1, 4: 2})

    async def lost(answers: Answers) -> int:
        return len(answers.acknowledged)

    found = await measure(FakeGuest(observation()), SimpleNamespace(answers=answers, lost=lost))

    assert not found.intact
    assert found.error == "writes to 2 rows are lost"


@pytest.mark.usefixtures("no_waiting")
async def test_of_a_server_the_answers_are_the_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    travelling(monkeypatch, Fate.COMPLETED)
    moments = [900 + i * 0.01 for i in range(10_300)]  # until 1003, and again from 1004 on
    times = [at for at in moments if at < 1003] + [1004 + i * 0.01 for i in range(300)]

    async def answers() -> Answers:
        return Answers(((times, [at + 0.01 for at in times]),))

    found = await measure(
        FakeGuest(observation()), SimpleNamespace(answers=answers, lost=none_lost)
    )

    assert found.intact
    assert found.baseline_rate == pytest.approx(100.0, rel=0.02)
    assert found.guest_seconds_lost == pytest.approx(1.0, abs=0.05)
    assert found.latency.during["max"] == pytest.approx(1.0, abs=0.05)
    assert found.latency.before["max"] <= 0.03


def test_moves_of_a_guest_in_bursts_begin_at_the_same_moment_of_one() -> None:
    def begins(repeat: int, now: float) -> float:
        records = [Beat(1000.0, 1, 61.0, 0, 0), Beat(1000.02, 2, 61.02, 0, 0)]
        wait = execution.seconds_to_begin(records, now, 4.0, repeat)
        assert 0.0 <= wait < 4.0
        return (now + wait - 1000.0 + 61.0) % 4.0

    assert (begins(0, 1000.5) + 2.0) % 4.0 == pytest.approx(2.0)
    assert begins(3, 1000.5) == pytest.approx(begins(3, 1002.9))
    moments = sorted(begins(repeat, 1000.5) for repeat in range(6))
    gaps = [b - a for a, b in pairwise([*moments, moments[0] + 4.0])]
    assert max(gaps) < 1.1
    assert execution.seconds_to_begin([], 1000.5, 4.0, 1) == 0.0
