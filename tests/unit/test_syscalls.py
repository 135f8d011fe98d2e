"""System calls that the standard library has no name for, as far as no privilege is needed."""

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from postcopy import syscalls

SCRIPT = """
import os, threading, time
def say(line):
    while True:
        os.write(1, line)
        time.sleep(0.02)
threading.Thread(target=say, args=[b"other\\n"], daemon=True).start()
say(b"main\\n")
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-u", "-c", SCRIPT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def read(child: subprocess.Popen[str], lines: int) -> list[str]:
    assert child.stdout is not None
    return [child.stdout.readline().strip() for _ in range(lines)]


def test_one_thread_is_held_until_its_holder_ends(child: subprocess.Popen[str]) -> None:
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            syscalls.hold_thread(child.pid)
        except PermissionError:
            return
        finally:
            held.set()
        over.wait()

    assert "main" in read(child, 20)
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    if not holder.is_alive():
        pytest.skip("ptrace is not permitted here")
    read(child, 20)  # what was said before
    assert set(read(child, 20)) == {"other"}
    over.set()
    holder.join()
    read(child, 20)
    assert "main" in read(child, 20)
