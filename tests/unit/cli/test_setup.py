"""The command as its user meets it, where nothing may be changed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from postcopy.cli import app, setup
from postcopy.processes import Completed
from postcopy.setup import Record
from postcopy.testing import FakeHost

from ..setup.hosts import HostInHere

SLOW = {"kernel": {"files": {"/proc/sys/net/ipv4/tcp_retries2": {"text": "15\n", "mode": 0o644}}}}
ONLY = ("--only", "kernel.retries")


class Host(FakeHost):
    """Answers probes from a list, and lets its files be looked at, and nothing else."""

    async def run(
        self, *argv: str, stdin: str | None = None, seconds: float | None = None
    ) -> Completed:
        if "postcopy-setup" not in (stdin or ""):
            return await super().run(*argv, stdin=stdin, seconds=seconds)
        assert '"action": "look"' in (stdin or "")
        return await HostInHere(self.name).run(*argv, stdin=stdin)


Call = Callable[..., int]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    def run(*arguments: str, host: FakeHost | None = None) -> int:
        async def reach(*_: object) -> list[FakeHost]:
            return [host or Host("alpha", SLOW)]

        monkeypatch.setattr(setup, "reach", reach)
        with pytest.raises(SystemExit) as left:
            app.main(["setup", "alpha", *arguments])
        return int(str(left.value.code))

    return run


def test_without_a_terminal_it_shows_the_plan_and_refuses(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*ONLY) == 65
    said = capsys.readouterr()
    assert "+net.ipv4.tcp_retries2 = 5" in said.out
    assert "--yes" in said.err
    assert Record.every() == []


def test_a_dry_run_says_that_there_is_something_to_do(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("--dry-run", "-f", "json", *ONLY) == 1
    [plan] = json.loads(capsys.readouterr().out)
    assert plan["mends"] == ["kernel.network.retries"]
    assert plan["commands"][0]["argv"][0] == "sysctl"


def test_a_host_without_fault_has_nothing_to_do(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    fast = {"kernel": {"files": {"/proc/sys/net/ipv4/tcp_retries2": {"text": "5\n"}}}}
    assert call("--yes", *ONLY, host=Host("alpha", fast)) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_overrides_are_printed_or_written(
    call: Call, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert call("--emit", "ansible", *ONLY) == 0
    [play] = yaml.safe_load(capsys.readouterr().out)
    assert play["hosts"] == "alpha"
    assert call("--emit", "osa", "-o", str(tmp_path), *ONLY) == 0
    assert (tmp_path / "group_vars" / "nova_compute.yml").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("-o", "x"), 64, "--emit"),
        (("--only", "nonsense"), 66, "nonsense"),
        (("--undo", "nonsense"), 66, "--list"),
        (("--undo", "/etc/passwd"), 73, "cannot be read"),
        (("--authority", "/nowhere", "--yes", "--only", "libvirt.tls.*"), 0, ""),
    ],
)
def test_mistakes_are_named(
    call: Call,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    assert call(*arguments) == code
    assert said in capsys.readouterr().err


def test_a_host_that_does_not_answer_stops_it_all(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("--yes", *ONLY, host=Host("alpha", error="no route")) == 69
    assert "no route" in capsys.readouterr().err


def test_records_are_listed_where_there_are_none(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("--list", "-f", "json") == 0
    assert json.loads(capsys.readouterr().out) == []
