"""``postcopy watch``, as far as it goes without a real migration."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from postcopy.cli import app, watch
from postcopy.watch import Kind, Notice

URI = "test:///default"
NOWHERE = "qemu+unix:///system?socket=/nowhere"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTCOPY_STATE_DIR", str(tmp_path))


def run(*arguments: str) -> int:
    return app._run(["watch", *arguments])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 64, "URI"),
        ([URI, URI], 64, "named twice"),
        ([URI, "--host", "qemu:///other=local"], 64, "write URI=HOST"),
        ([URI, "--recover-for", "0"], 64, "--recover-for"),
        (["--once", NOWHERE], 69, "no answer"),
        (["--once", URI, NOWHERE], 69, NOWHERE),
        (["--install-unit", "qemu:///s ystem"], 64, "watch.conf"),
    ],
)
def test_what_cannot_be_is_named_and_has_its_code(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == code
    assert said in capsys.readouterr().err


def test_where_all_is_well_a_round_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--once", URI) == 0
    assert capsys.readouterr() == ("", "")


def test_a_round_in_json_is_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--once", NOWHERE, "-f", "json") == 69
    [line] = capsys.readouterr().out.splitlines()
    notice = json.loads(line)
    assert (notice["kind"], notice["host"]) == ("host-away", NOWHERE)
    assert "tried again" not in notice["text"]


def test_a_journal_that_cannot_be_opened_keeps_nobody_from_watching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("POSTCOPY_STATE_DIR", str(tmp_path / "file"))
    assert run("--once", URI) == 0
    assert "nothing will be recorded" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    command = [sys.executable, "-u", "-m", "postcopy", "watch", URI, NOWHERE, "-f", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        kinds = [json.loads(process.stdout.readline())["kind"] for _ in range(3)]
        assert kinds == ["guard", "host-away", "guard"]
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert "left as they are" in json.loads(out)["text"]
    assert (process.returncode, err) == (0, b"")


def test_what_hosts_say_is_one_line_that_no_terminal_obeys(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    notice = Notice(at=0.0, kind=Kind.LEFT, text="said: \x1b[2J\nno\tsuch", guest="web1")
    watch._teller("text")(notice)
    shown = capsys.readouterr().err
    assert shown.endswith(" web1: said:  [2J no such\n")
    assert shown.count("\n") == 1


def test_the_service_is_shown_before_it_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--interval", "3", "--peer-uri", "qemu+tls://{host}/system")
    assert run(URI, "--install-unit", "--dry-run", *options, "--host", f"{URI}=local") == 1
    shown = capsys.readouterr().out
    assert '+URIS="test:///default"' in shown
    assert '+OPTIONS="--host test:///default=local --peer-uri qemu+tls://{host}/system' in shown
    assert "systemctl enable postcopy-watch.service" in shown
