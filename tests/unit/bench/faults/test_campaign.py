"""A campaign is on disk run by run: it is gone on with, and its figures come from there."""

from pathlib import Path

import pytest

from postcopy.bench.faults.campaign import Campaign, read_plan, to_dict
from postcopy.bench.faults.figures import summarize
from postcopy.bench.faults.floor import Copy, Sight
from postcopy.bench.faults.judge import Fate
from postcopy.bench.faults.model import Fault, Kind, Moment, RunPlan
from postcopy.errors import NotFoundError, UsageError

from .fakes import MOVES, QUICK, FakeFloor, FakeSubject, plan, says

RESET = Fault(kind=Kind.RESET, moment=Moment.POSTCOPY, after=0.0)
PLANS = [plan(RESET, number=number) for number in (1, 2, 3)]


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTCOPY_STATE_DIR", str(tmp_path))


def subject() -> FakeSubject:
    return FakeSubject([says(*MOVES)])


def twice() -> FakeSubject:
    made = subject()
    made.looks = [Sight((Copy("alpha", "running", True), Copy("beta", "running", True)))] * 1000
    return made


async def test_a_campaign_that_was_killed_goes_on() -> None:
    campaign = Campaign.begin(PLANS)
    with pytest.raises(KilledError):
        await _until_second(campaign, FakeFloor(subject(), subject()))
    found = Campaign.of(PLANS)
    assert found is not None
    assert found.directory == campaign.directory
    assert found.left == PLANS[1:]
    floor = FakeFloor(subject(), subject())
    await found.run([floor], QUICK)
    assert not found.left
    assert floor.done == ["up", "down"]
    assert [result.ruling.fate for result in found.results()] == [Fate.MOVED] * 3
    assert Campaign.unfinished() is None


class KilledError(Exception):
    """The campaign ends in the middle."""


async def _until_second(campaign: Campaign, floor: FakeFloor) -> None:
    def progress(stage: str) -> None:
        if "0002" in stage:
            raise KilledError

    try:
        await campaign.run([floor], QUICK, progress=progress)
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


async def test_other_runs_are_another_campaign() -> None:
    Campaign.begin(PLANS)
    assert Campaign.of(PLANS[:2]) is None
    assert Campaign.unfinished() is not None


async def test_labs_work_side_by_side() -> None:
    campaign = Campaign.begin(PLANS)
    floors = [FakeFloor(subject(), subject(), subject()) for _ in range(2)]
    await campaign.run(floors, QUICK)
    assert not campaign.left
    assert all(len(floor.subjects) < 3 for floor in floors)


async def test_a_run_that_could_not_be_tried_is_tried_in_a_new_lab() -> None:
    campaign = Campaign.begin(PLANS[:1])
    floor = FakeFloor()
    ups = 0

    async def up(progress: object) -> None:
        nonlocal ups
        ups += 1
        if ups == 2:
            floor.subjects.append(subject())

    floor.up = up  # type: ignore[method-assign]
    await campaign.run([floor], QUICK)
    assert campaign.results()[0].ruling.fate is Fate.MOVED


async def test_a_lab_in_which_something_is_left_is_made_anew() -> None:
    campaign = Campaign.begin(PLANS)
    clinging = subject()
    clinging.clings = True
    floor = FakeFloor(clinging, subject(), subject())
    await campaign.run([floor], QUICK)
    assert [result.ruling.fate for result in campaign.results()] == [Fate.MOVED] * 3
    assert floor.done == ["up", "up", "down"]


async def test_figures_tell_what_became_of_guests() -> None:
    campaign = Campaign.begin(PLANS)
    await campaign.run([FakeFloor(subject(), twice(), subject())], QUICK)
    results = campaign.results()
    summary = summarize(results)
    assert summary.failed == ("qemu-0002",)
    assert summary.fates == {Fate.MOVED: 2, Fate.DOUBLED: 1}
    rows = {row.kind: row for row in summary.rows}
    assert rows.keys() == {Kind.RESET, None}
    assert rows[None].runs == 3
    assert [run["fate"] for run in to_dict(results)] == [Fate.MOVED, Fate.DOUBLED, Fate.MOVED]


async def test_a_plan_is_kept_to_be_done_again() -> None:
    campaign = Campaign.begin(PLANS)
    await campaign.run([FakeFloor(subject(), subject(), subject())], QUICK)
    assert read_plan(campaign.directory / "qemu-0002") == PLANS[1]
    assert read_plan(campaign.directory / "qemu-0002" / "plan.json") == PLANS[1]


def test_what_is_no_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_plan(tmp_path / "plan.json")
    other = tmp_path / "plan.json"
    other.write_text('{"faults": []}')
    with pytest.raises(UsageError):
        read_plan(other)


def test_every_run_of_a_campaign_has_a_name_of_its_own() -> None:
    names = [RunPlan.from_dict(one.to_dict()).name for one in PLANS]
    assert len(set(names)) == 3
