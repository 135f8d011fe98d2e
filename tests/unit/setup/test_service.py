"""The guard as a service: what systemd gets, and its undoing."""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from postcopy.errors import UsageError
from postcopy.processes import Completed
from postcopy.setup import Plan, begin, go_on, undo
from postcopy.setup.service import CONFIGURATION, SERVICE, UNIT, plan_service, unit_text

from .hosts import HostInHere

URIS = ("qemu:///system", "qemu+ssh://root@beta/system")
NOTHING: dict[str, str | None] = {UNIT: None, CONFIGURATION: None}


def plan(held: dict[str, str | None] = NOTHING, *options: str) -> Plan:
    return plan_service("local", held, URIS, options, "/opt/postcopy/bin/postcopy")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    # It wants the command to be there.
    unit = tmp_path / SERVICE
    unit.write_text(unit_text(sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_service_runs_the_command_that_installed_it_with_what_was_given() -> None:
    unit, configuration = plan(NOTHING, "--interval", "3").files
    assert unit.after is not None
    assert "ExecStart=/opt/postcopy/bin/postcopy watch $OPTIONS $URIS\n" in unit.after
    assert f"EnvironmentFile={configuration.path}\n" in unit.after
    assert configuration.after is not None
    assert configuration.after.splitlines()[1:] == [
        'URIS="qemu:///system qemu+ssh://root@beta/system"',
        'OPTIONS="--interval 3"',
    ]


def test_what_is_there_already_is_not_done_again_and_a_change_is_a_restart() -> None:
    held = {change.path: change.after for change in plan().files}
    assert plan(held).empty
    changed = plan(held, "--interval", "3")
    assert [change.path for change in changed.files] == [CONFIGURATION]
    assert changed.commands[-1].argv == ("systemctl", "restart", SERVICE)


@pytest.mark.parametrize("word", ["a b", 'a"', "a\\", "$HOME", "a\nb"])
def test_what_would_be_read_otherwise_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match=r"watch\.conf"):
        plan(NOTHING, "--peer-uri", word)


async def test_it_is_taken_back_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTCOPY_STATE_DIR", str(tmp_path / "state"))
    root = tmp_path / "root"
    root.mkdir()
    me, told = pwd.getpwuid(os.geteuid()).pw_name, []

    def command(argv: Sequence[str]) -> Completed:
        told.append(" ".join(argv))
        # What systemd would answer: a unit whose file is gone can be stopped, not disabled.
        there = (root / UNIT.lstrip("/")).exists()
        return Completed(0 if there or "enable" not in argv else 1, "", "")

    made = plan()
    files = tuple(
        replace(one, path=str(root / one.path.lstrip("/")), owner=me, group=me)
        for one in made.files
    )
    hosts = {"local": HostInHere("local", command)}
    begun = await begin([replace(made, files=files)], hosts, 1.0)
    await go_on(begun, hosts)
    assert (root / UNIT.lstrip("/")).read_text() == unit_text("/opt/postcopy/bin/postcopy")
    assert told == [
        "systemctl daemon-reload", f"systemctl enable {SERVICE}", f"systemctl restart {SERVICE}"
    ]  # fmt: skip
    told.clear()
    assert await undo(begun.record, hosts) == []
    assert list(root.rglob("*.*")) == []
    assert told == [
        f"systemctl stop {SERVICE}",
        f"rm -f /etc/systemd/system/multi-user.target.wants/{SERVICE}",
        "systemctl daemon-reload",
    ]
