"""``postcopy bench faults``, as far as it goes without a lab."""

import json
from pathlib import Path

import pytest

from postcopy.bench.faults.campaign import Campaign, campaigns_dir
from postcopy.bench.faults.floors import FLOORS, USUAL, plans_for
from postcopy.bench.faults.model import Kind, RunPlan
from postcopy.cli.app import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as leaving:
        main(["bench", "faults", *arguments])
    assert isinstance(leaving.value.code, int)
    return leaving.value.code


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[RunPlan]:
    assert run(*arguments, "--dry-run", "-f", "json") == 0
    return [RunPlan.from_dict(plan) for plan in json.loads(capsys.readouterr().out)]


def test_it_says_what_it_would_break(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--seed", "7", "--runs", "3", "--floor", "qemu", "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["qemu-0001", "qemu-0002", "qemu-0003"]
    assert not campaigns_dir().exists()


def test_all_but_the_cloud_have_their_runs_if_none_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plans = planned(capsys, "--seed", "7", "--runs", "4")
    assert plans == [plan for name in USUAL for plan in plans_for(name, 7, range(1, 5))]
    assert set(FLOORS) - set(USUAL) == {"nova"}


def test_a_cloud_has_what_it_can_break(capsys: pytest.CaptureFixture[str]) -> None:
    """The death of a daemon is for Nova the end of a migration, whatever becomes of the guest."""
    plans = planned(capsys, "--seed", "7", "--runs", "40", "--floor", "nova")
    struck = {fault.kind for plan in plans for fault in plan.faults}
    assert struck == FLOORS["nova"].kinds
    assert Kind.DAEMON not in struck


def test_a_run_of_a_seed_is_had_by_its_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert planned(capsys, "--seed", "7", "--run", "12", "--floor", "libvirt") == plans_for(
        "libvirt", 7, [12]
    )


def test_a_rival_meets_the_faults_of_its_floor(capsys: pytest.CaptureFixture[str]) -> None:
    ours = planned(capsys, "--seed", "7", "--runs", "5", "--floor", "libvirt")
    both = planned(capsys, "--seed", "7", "--runs", "5", "--floor", "libvirt", "--against", "virsh")
    assert both[:5] == ours
    assert [plan.floor for plan in both[5:]] == ["virsh"] * 5
    assert [plan.faults for plan in both[5:]] == [plan.faults for plan in ours]
    alone = planned(capsys, "--seed", "7", "--runs", "5", "--against", "virsh")
    assert alone == both[5:]


def test_without_a_seed_each_campaign_is_another(capsys: pytest.CaptureFixture[str]) -> None:
    assert planned(capsys, "--runs", "3") != planned(capsys, "--runs", "3")


def test_an_earlier_run_is_replayed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    [plan] = plans_for("qemu", 7, [12])
    (tmp_path / "plan.json").write_text(json.dumps(plan.to_dict()))
    assert planned(capsys, "--replay", str(tmp_path)) == [plan]


def test_a_campaign_is_gone_on_with(capsys: pytest.CaptureFixture[str]) -> None:
    plans = plans_for("qemu", 7, range(1, 3))
    Campaign.begin(plans)
    assert planned(capsys, "--resume") == plans


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--resume",), 66),
        (("--run", "3"), 64),
        (("--replay", "/nowhere/plan.json"), 66),
        (("--replay", "/nowhere/plan.json", "--seed", "1"), 64),
        (("--floor", "kvmtool"), 64),
        (("--runs", "0"), 64),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], code: int) -> None:
    assert run(*arguments, "--dry-run") == code
