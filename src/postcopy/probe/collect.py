"""Looking at files and running commands, bounded in time and size; what fails is an answer too.

Runs on the hosts that are looked at, with their Python (3.9 or newer) and nothing else.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["file", "files", "grep", "lines", "listed", "run"]

MOST_BYTES = 1 << 20
SECONDS = 5.0
_MOST_FILES = 200
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def file(path: str, content: bool = True) -> dict[str, Any]:
    """Return what `postcopy.readiness.evidence.File` reads.

    :param content: whether what it holds is wanted; never for what holds a secret.
    """
    told: dict[str, Any] = {}
    try:
        stat = Path(path).stat()
        told.update(mode=stat.st_mode & 0o7777, uid=stat.st_uid, gid=stat.st_gid)
        if content:
            # A pipe or a device could hang or be changed by being read.
            if not Path(path).is_file():
                return told
            with Path(path).open("rb") as stream:
                told["text"] = stream.read(MOST_BYTES).decode("utf-8", "replace")
    except OSError as error:
        told["error"] = errno.errorcode.get(error.errno or 0, str(error))
    return told


def files(*patterns: str, content: bool = True) -> dict[str, Any]:
    """Return `file` of each path, by path; shell patterns stand for what there is."""
    told = {}
    for pattern in patterns:
        wild = any(letter in pattern for letter in "*?[")
        for path in listed(pattern) if wild else [pattern]:
            told[path] = file(path, content)
    return told


def grep(word: str, *patterns: str) -> dict[str, Any]:
    """Return `file` of each path, with only those of its lines that hold the word, if any do."""
    told = {}
    for pattern in patterns:
        for path in listed(pattern):
            found = file(path)
            kept = [line for line in str(found.get("text", "")).splitlines() if word in line]
            if kept:
                told[path] = {**found, "text": "\n".join(kept)}
    return told


def listed(pattern: str) -> list[str]:
    """Return the paths that a shell pattern stands for."""
    return sorted(map(str, Path("/").glob(pattern.lstrip("/"))))[:_MOST_FILES]


def run(
    argv: Sequence[str],
    seconds: float = SECONDS,
    stdin: str = "",
    user: int | None = None,
    group: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a command and return what `postcopy.readiness.evidence.Ran` reads.

    It is ended, with all that it started, when its time is over.

    :param user: the number of the user to run it as; this process's own without one.
    """
    told: dict[str, Any] = {"argv": list(argv)}
    more: dict[str, Any] = {}
    if user is not None:
        more.update(user=user, group=group, extra_groups=[])
    try:
        process = subprocess.Popen(
            list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
            env={"PATH": _PATH, "LC_ALL": "C", **(environment or {})},
            **more,
        )  # fmt: skip
    except FileNotFoundError:
        told["error"] = "not installed"
        return told
    except OSError as error:
        told["error"] = error.strerror or str(error)
        return told
    try:
        out, err = process.communicate(stdin.encode(), timeout=seconds)
        told["code"] = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        told["error"] = "timed out"
    told["out"], told["err"] = (text[:MOST_BYTES].decode("utf-8", "replace") for text in (out, err))
    return told


def lines(path: str) -> list[str]:
    """Return the lines of a file; none where it cannot be read."""
    text = file(path).get("text")
    return text.splitlines() if isinstance(text, str) else []
