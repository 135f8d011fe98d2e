"""Work in a child process: as another user, and where hanging or crashing hurts nobody.

Runs on the hosts that are looked at, with their Python (3.9 or newer) and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from postcopy.probe.account import Account, become

__all__ = ["call", "call_all"]

SECONDS = 10.0


def call(
    work: Callable[[], dict[str, Any]], account: Account | None = None, seconds: float = SECONDS
) -> dict[str, Any]:
    """Return what `work` returns in a child process, or ``{"error": ...}``.

    The child and what it started are ended when the time is over, and when it has answered.

    :param account: whom the child becomes first.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_the_child(work, account, writer)
    os.close(writer)
    told = bytearray()
    deadline = time.monotonic() + seconds
    try:
        while (left := deadline - time.monotonic()) > 0 and select.select([reader], [], [], left)[
            0
        ]:
            block = os.read(reader, 65536)
            if not block:
                break
            told += block
        else:
            return {"error": "timed out"}
    finally:
        os.close(reader)
        for end in (os.killpg, os.kill):  # it may not have come to being a group of its own
            with contextlib.suppress(ProcessLookupError, PermissionError):
                end(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
    try:
        answer = json.loads(told)
    except ValueError:
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        return {"error": f"was ended by signal {number}" if number else "said nothing"}
    return answer if isinstance(answer, dict) else {"error": "said something else"}


def call_all(
    work: Mapping[str, Callable[[], dict[str, Any]]],
    account: Account | None = None,
    seconds: float = SECONDS,
) -> dict[str, dict[str, Any]]:
    """Return what `call` returns of each, by name; they run side by side."""
    told: dict[str, dict[str, Any]] = {}

    def one(name: str) -> None:
        told[name] = call(work[name], account, seconds)

    threads = [threading.Thread(target=one, args=(name,), daemon=True) for name in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def _be_the_child(work: Callable[[], dict[str, Any]], account: Account | None, writer: int) -> None:
    try:
        os.setsid()
        try:
            if account is not None:
                become(account)
            told = work()
        except Exception as error:  # noqa: BLE001 - it is told to the parent
            told = {"error": f"{type(error).__name__}: {error}"}
        view = memoryview(json.dumps(told).encode())
        while view:
            view = view[os.write(writer, view) :]
    finally:
        os._exit(0)
