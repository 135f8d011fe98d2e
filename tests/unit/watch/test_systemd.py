"""What is told to a service manager, over a real socket."""

import asyncio
import contextlib
import os
import socket
from pathlib import Path

import pytest

from postcopy.watch.systemd import Notifier, in_journal, journal_line


def test_a_manager_is_told_and_children_do_not_hear_of_it(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "3000000", "HOME": "/root"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        notifier = Notifier.of_environment(environment)
        notifier.tell("READY=1", "STATUS=2 of 2 hosts answer")
        assert manager.recv(4096) == b"READY=1\nSTATUS=2 of 2 hosts answer"
    assert environment == {"HOME": "/root"}
    notifier.tell("STOPPING=1")  # the manager is gone, and that is no trouble


def test_an_abstract_socket_is_one_too() -> None:
    name = f"postcopy-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        Notifier(f"@{name}").tell("READY=1")
        assert manager.recv(4096) == b"READY=1"


async def test_signs_of_life_come_twice_within_the_time(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        notifier = Notifier.of_environment({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "2000"})
        task = asyncio.create_task(notifier.keep_alive(lambda: "all is well"))
        await asyncio.sleep(0.1)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert manager.recv(4096) == b"WATCHDOG=1\nSTATUS=all is well"
        assert manager.recv(4096) == b"WATCHDOG=1"


def test_without_a_manager_nothing_is_told() -> None:
    Notifier.of_environment({}).tell("READY=1")


@pytest.mark.parametrize("stream", ["", "8", "1:2", "x:y"])
def test_stderr_is_the_journal_only_where_it_is(stream: str) -> None:
    assert not in_journal({"JOURNAL_STREAM": stream})
    found = os.fstat(2)
    assert in_journal({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})


def test_lines_have_their_priority_in_front() -> None:
    assert journal_line("web1: lost", troubling=True) == "<4>web1: lost"
    assert journal_line("web1: arrived", troubling=False) == "<6>web1: arrived"
