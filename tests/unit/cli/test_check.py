"""What `postcopy check` prints, and what it exits with."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from postcopy.cli import app, check
from postcopy.testing import FakeHost

ANSWERS = Path(__file__).parents[1] / "doctor" / "answers"


def run(*arguments: str) -> int:
    return app._run(["check", *arguments])


def recorded(name: str, called: str, **about: Any) -> FakeHost:
    said = json.loads((ANSWERS / f"{name}.json").read_text())
    return FakeHost(called, said["sections"], **about)


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> list[FakeHost]:
    """Hosts that are asked instead of those that are named."""
    made = [recorded("debian13-lab", "alpha"), recorded("debian12-qemu10-refused", "beta")]

    async def instead(*arguments: object) -> list[FakeHost]:
        return made

    monkeypatch.setattr(check, "reach", instead)
    return made


def test_faults_come_first_grouped_by_layer_with_what_mends_them(
    hosts: list[FakeHost], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--only", "kernel.*", "--only", "qemu.*") == 2
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert out.index("kernel.userfaultfd.permitted") < out.index("kernel.network.retries")
    assert out.index("kernel.network.retries") < out.index("qemu.issue.device-state-loss")
    assert ["FAIL", "kernel.userfaultfd.permitted", "beta"] in lines
    assert ["WARN", "kernel.network.retries", "alpha,", "beta"] in lines
    assert "sysctl -w vm.unprivileged_userfaultfd=1" in out
    assert "`postcopy setup alpha beta` can mend some of this" in out
    assert "PASS" not in out
    assert "passed" in out
    assert "[2/2] beta" in err
    assert all(host.closed for host in hosts)


def test_what_passed_is_shown_when_asked_for(
    hosts: list[FakeHost], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-v", "--only", "qemu.installed") == 0
    assert "PASS qemu.installed  alpha" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--only", "kernel.memory.page"), 0),
        (("--only", "kernel.network.retries"), 1),
        (("--only", "kernel.*", "--skip", "kernel.userfaultfd.*", "--skip", "kernel.cpu.*"), 1),
        (("--only", "kernel.userfaultfd.permitted"), 2),
        (("--only", "kernel.userfaultfd.permitted", "--quick"), 0),
    ],
)
def test_the_exit_code_is_that_of_the_worst(
    hosts: list[FakeHost], arguments: tuple[str, ...], code: int
) -> None:
    assert run(*arguments) == code


def test_json_and_yaml_say_it_all(
    hosts: list[FakeHost], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-f", "json", "--skip", "host.clocks") == 2
    data = json.loads(capsys.readouterr().out)
    assert data["hosts"] == ["alpha", "beta"]
    assert data["exit_code"] == 2
    assert data["summary"]["fail"] == 1
    assert len(data["findings"]) == sum(data["summary"].values())
    [fault] = [f for f in data["findings"] if f["verdict"] == "fail"]
    assert fault["id"] == "kernel.userfaultfd.permitted"
    assert fault["fix"] == "kernel.userfaultfd"
    assert run("-f", "yaml", "--skip", "host.clocks") == 2
    assert yaml.safe_load(capsys.readouterr().out) == data


def test_junit_has_a_suite_for_each_subject(
    hosts: list[FakeHost], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-f", "junit") == 2
    root = ET.fromstring(capsys.readouterr().out)
    names = [suite.get("name") for suite in root]
    assert names == ["alpha", "beta", "alpha -> beta", "beta -> alpha"]
    failures = [
        case.get("name") for case in root.iter("testcase") if case.find("failure") is not None
    ]
    assert failures == ["kernel.userfaultfd.permitted"]
    for suite in root:
        assert int(suite.get("tests", "")) == len(suite)


def test_a_host_that_is_down_is_a_failure_and_no_error(
    hosts: list[FakeHost], capsys: pytest.CaptureFixture[str]
) -> None:
    hosts[1] = FakeHost("beta", error="no route to host")
    assert run() == 2
    out, err = capsys.readouterr()
    assert "FAIL host.reachable  beta" in out
    assert "no route to host" in out
    assert "beta: no answer" in err


def test_a_host_that_sends_escape_codes_gets_none_to_the_terminal(
    hosts: list[FakeHost], capsys: pytest.CaptureFixture[str]
) -> None:
    hosts[1] = recorded("debian13-lab", "beta", host="\x1b[2Jpwned[bold]\x07")
    run("-v", "--only", "host.*")
    out = capsys.readouterr().out
    assert "pwned[bold]" in out
    assert "\x1b" not in out
    assert "\x07" not in out


def test_of_many_hosts_pairs_that_pass_are_counted_and_not_listed(
    hosts: list[FakeHost], capsys: pytest.CaptureFixture[str]
) -> None:
    hosts[:] = [recorded("debian13-lab", f"h{n}", identity=str(n)) for n in range(25)]
    assert run("--only", "qemu.pair.version", "-f", "json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["summary"] == {"pass": 600}
    assert data["findings"] == []


def test_one_check_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--explain", "kernel.userfaultfd.permitted") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Postcopy is not supported" in out
    assert "Linux 5.11" in out
    assert run("--explain", "kernel.userfaultfd.permitted", "-f", "json") == 0
    assert json.loads(capsys.readouterr().out)["fix"] == "kernel.userfaultfd"


def test_all_checks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--list", "-f", "json", "--only", "host.*") == 0
    listed = json.loads(capsys.readouterr().out)
    assert {entry["id"] for entry in listed} >= {"host.reachable", "host.clocks"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--explain", "kernel.userfaultfd.permited"), 66, "did you mean kernel.userfaultfd.perm"),
        (("--only", "colonel.*"), 66, "no check matches 'colonel.*'"),
        (("root@h1",), 64, "write ssh://root@h1"),
        (("ssh://h1:99999",), 64, "ssh://h1:99999"),
        (("local", "local"), 64, "host local is named twice"),
        (("--guest", "web1", "local"), 64, "needs two hosts"),
        (("--limit", "compute"), 64, "--inventory"),
        (("--inventory", "/nowhere"), 66, "there is no inventory /nowhere"),
        (("gamma",), 66, "ssh://gamma"),
        (("alpha", "--lab", "nothing-here"), 69, "nothing-here"),
        (("--list", "-f", "junit"), 64, "junit"),
    ],
)
def test_bad_input_is_named(
    arguments: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == code
    err = capsys.readouterr().err
    assert said in " ".join(err.split())
    assert "Traceback" not in err


def test_a_surprise_has_the_exit_code_of_surprises(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def explode(*arguments: object) -> None:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr(check, "reach", explode)
    assert run() == 255
    assert "ZeroDivisionError: surprise" in capsys.readouterr().err


def test_ids_are_completed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from postcopy.cli import main; main()"],
        env={**os.environ, "_POSTCOPY_COMPLETE": "bash_complete",
             "COMP_WORDS": "postcopy check --only kernel.userfaultfd.p", "COMP_CWORD": "3"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "kernel.userfaultfd.permitted" in done.stdout
