"""Finding and ending processes that nobody holds a handle of."""

import asyncio
import contextlib
import mmap
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postcopy import pids


@pytest.fixture
def mark() -> str:
    return f"{os.getpid()}-{time.monotonic_ns()}"


@pytest.fixture
def family(mark: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a child that keeps making grandchildren."""
    script = "while :; do sleep 0.01; done & while :; do sleep 0.01; done"
    process = subprocess.Popen(
        ["sh", "-c", script], env={**os.environ, "TEST_MARK": mark}, start_new_session=True
    )
    yield process
    # The child goes on without its parent: the whole group has to end.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_processes_are_found_by_their_environment_whole(
    mark: str, family: subprocess.Popen[bytes]
) -> None:
    wait_for(lambda: family.pid in pids.find(pids.has_environment("TEST_MARK", mark)))
    assert pids.find(pids.has_environment("TEST_MARK", mark[:-1])) == []
    assert pids.find(pids.has_environment("EST_MARK", mark)) == []


def test_all_of_a_family_ends(mark: str, family: subprocess.Popen[bytes]) -> None:
    matches = pids.has_environment("TEST_MARK", mark)
    wait_for(lambda: len(pids.find(matches)) >= 3)
    ended = asyncio.run(pids.end(matches))
    assert family.pid in ended
    assert pids.find(matches) == []
    assert family.wait(timeout=5) == -9


def test_this_process_and_its_forebears_are_spared() -> None:
    assert {os.getpid(), os.getppid()} <= pids.lineage()
    assert not pids.lineage() & set(pids.find(lambda pid: True))


def test_processes_are_found_by_their_namespace(tmp_path: Path) -> None:
    own = Path(f"/proc/{os.getpid()}/ns/net")
    matches = pids.in_namespace("net", own, tmp_path / "none")
    assert matches(os.getpid())
    assert not pids.in_namespace("net", tmp_path)(os.getpid())


def test_a_zombie_counts_as_gone() -> None:
    process = subprocess.Popen(["true"])
    try:
        wait_for(lambda: pids.start_time(process.pid) is None)
    finally:
        process.wait()


def test_a_process_that_is_not_there_has_no_start() -> None:
    assert pids.start_time(2**22 + 1) is None


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_listener_of_a_socket_and_what_it_has_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    assert pids.listener_of(path) is None
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert pids.listener_of(path) == os.getpid()
    size = 777 << 20  # no other mapping is that large
    with mmap.mmap(-1, size) as memory:
        memory[: 16 << 20] = b"x" * (16 << 20)
        resident = pids.resident_bytes(os.getpid(), size)
    assert resident is not None
    assert 16 << 20 <= resident < 20 << 20
    assert pids.resident_bytes(2**22 + 1, size) is None


def test_a_process_is_known_by_its_number_inside_a_namespace() -> None:
    """Without a namespace of its own, a process has one number only."""
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            assert pids.inside(os.getpid(), child.pid) == child.pid
            assert pids.inside(os.getpid(), 2**30) is None
        finally:
            child.kill()
