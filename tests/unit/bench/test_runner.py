"""Going through a suite: what is missing is made, and nothing twice."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from postcopy.bench import runner, stand
from postcopy.bench.record import Measured, Record
from postcopy.bench.runner import Progress, missing, run_suite
from postcopy.bench.scenario import Scenario
from postcopy.bench.suite import Suite
from postcopy.errors import MigrationError, UnavailableError
from postcopy.migration.outcome import Fate

from .runs import measured

SUITE = Suite.parse(
    "small",
    {
        "repeats": 2,
        "methods": ["adaptive", "precopy"],
        "scenarios": [{"workload": ["idle", "hot"]}],
    },
)


class FakeLab:
    """A lab whose guests do as the test says."""

    def __init__(self) -> None:
        self.rate: int | None = 125_000_000
        self.booted: list[str] = []
        self.cleared = 0
        self.closed = 0
        self.fates: dict[int, Fate] = {}
        self.broken: set[int] = set()
        self.interrupted_at: int | None = None
        self.moves = 0

    def link(self) -> Any:
        return SimpleNamespace(status=self._status)

    async def _status(self) -> Any:
        return SimpleNamespace(rate=self.rate)

    def roots(self) -> Any:
        return {"alpha": SimpleNamespace(qemu_version="10.0.13")}

    async def boot(self, lab: Any, scenario: Scenario) -> Any:
        self.rate = scenario.link
        self.booted.append(scenario.workload)
        return SimpleNamespace(close=self._close)

    async def _close(self) -> None:
        self.closed += 1

    async def clear(self, lab: Any) -> None:
        self.cleared += 1

    async def shape(self, link: Any, rate: int | None) -> None:
        self.rate = rate

    async def execute(
        self, standing: Any, scenario: Scenario, method: Any, repeat: int, *_: Any, patience: float
    ) -> Measured:
        self.moves += 1
        if self.moves == self.interrupted_at:
            raise asyncio.CancelledError
        if self.moves in self.broken:
            raise UnavailableError("the guest runs on no host")
        fate = self.fates.get(self.moves, Fate.COMPLETED)
        return measured(method.text, repeat, 5.0, 0.5, scenario=scenario, fate=fate)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("POSTCOPY_STATE_DIR", str(tmp_path))
    fake = FakeLab()
    for name in ("boot", "clear", "shape"):
        monkeypatch.setattr(stand, name, getattr(fake, name))
    monkeypatch.setattr(runner, "execute", fake.execute)
    return fake


def record_in(tmp_path: Path) -> Record:
    return Record(tmp_path / "small.jsonl", SUITE.to_dict())


async def test_each_guest_is_booted_once_and_every_run_recorded(lab: Any, tmp_path: Path) -> None:
    told: list[Progress] = []
    record = record_in(tmp_path)

    await run_suite(lab, SUITE, record, told.append)

    assert lab.booted == ["idle", "hot"]
    assert missing(SUITE, Record(record.path)) == []
    assert [now.done for now in told] == list(range(8))
    assert all(now.total == 8 for now in told)
    lefts = [now.seconds_left for now in told]
    assert lefts[0] > 8 * 5
    assert lab.rate == 125_000_000  # as it was before
    assert lab.cleared
    assert lab.closed == 2
    assert Record(record.path).about["qemu"] == "10.0.13"


async def test_one_that_was_killed_goes_on_where_it_was(lab: Any, tmp_path: Path) -> None:
    lab.interrupted_at = 6
    with pytest.raises(asyncio.CancelledError):
        await run_suite(lab, SUITE, record_in(tmp_path))
    assert lab.cleared
    assert lab.rate == 125_000_000
    lab.interrupted_at = None
    lab.booted.clear()
    told: list[Progress] = []

    await run_suite(lab, SUITE, record_in(tmp_path), told.append)

    assert [now.done for now in told] == [5, 6, 7]
    assert lab.booted == ["hot"]
    assert len(record_in(tmp_path).runs) == 8


async def test_more_repeats_add_to_what_is_there(lab: Any, tmp_path: Path) -> None:
    await run_suite(lab, SUITE, record_in(tmp_path))
    more = Suite.parse(
        "small",
        {"repeats": 3, "methods": ["adaptive", "precopy"], "scenarios": [{"workload": "idle"}]},
    )

    assert [run.key[1:] for run in missing(more, record_in(tmp_path))] == [
        ("adaptive", 2),
        ("precopy", 2),
    ]


async def test_a_guest_that_is_lost_is_on_record_and_replaced(lab: Any, tmp_path: Path) -> None:
    lab.broken = {2}

    await run_suite(lab, SUITE, record_in(tmp_path))

    failed = [run for run in record_in(tmp_path).runs if run.fate is Fate.FAILED]
    assert [run.error for run in failed] == ["the guest runs on no host"]
    assert lab.booted == ["idle", "idle", "hot"]
    assert lab.closed == 3


async def test_a_guest_that_was_given_up_stays(lab: Any, tmp_path: Path) -> None:
    lab.fates = dict.fromkeys((1, 2, 3, 4), Fate.CANCELLED)

    await run_suite(lab, SUITE, record_in(tmp_path))

    assert lab.booted == ["idle", "hot"]


async def test_failures_in_a_row_end_it(lab: Any, tmp_path: Path) -> None:
    lab.broken = {2, 3, 4}

    with pytest.raises(MigrationError, match="3 runs in a row") as error:
        await run_suite(lab, SUITE, record_in(tmp_path))

    assert "runs on no host" in error.value.message
    assert len(record_in(tmp_path).runs) == 4
    assert lab.cleared
