"""The command, run as a user runs it: in a process of its own."""

import json
import signal
import subprocess
import sys
from typing import Any

__all__ = ["data", "finish", "postcopy", "read_until", "spawn"]

_SECONDS = 120


def postcopy(*arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run the command to its end and check its exit code; no traceback may ever be seen.

    :param code: None for any: the caller has a better question.
    """
    done = subprocess.run(
        [sys.executable, "-m", "postcopy", *arguments],
        capture_output=True, text=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    said = f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    assert code in (done.returncode, None), said
    return done


def data(*arguments: str, code: int | None = 0) -> Any:
    """Run the command with ``-f json`` and return what it printed."""
    return json.loads(postcopy(*arguments, "-f", "json", code=code).stdout)


def spawn(*arguments: str) -> subprocess.Popen[str]:
    """Start the command and return at once. Its stderr can be read line by line.

    It minds SIGINT as at a terminal, also where the tests run in the background, which ignores it.
    """
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "postcopy", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads
    )  # fmt: skip


def read_until(text: str, process: subprocess.Popen[str]) -> None:
    """Read what a spawned command says until it says that."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if text in line:
            return
    raise AssertionError(f"never said {text!r}:\n{''.join(seen)}")


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for a spawned command's end, check its exit code, and return what it still said."""
    out, err = process.communicate(timeout=90)
    assert process.returncode == code, f"{out}{err}"
    return out + err
