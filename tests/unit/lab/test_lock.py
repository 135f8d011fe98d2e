"""Locks between processes: one holder, who is named, and no file left over."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from postcopy.errors import RetryableError
from postcopy.lab import lock

HOLDER = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(descriptor, fcntl.LOCK_EX)
os.write(descriptor, str(os.getpid()).encode())
print("held", flush=True)
sys.stdin.read()
"""


def test_the_file_is_gone_when_the_lock_is(tmp_path: Path) -> None:
    async def use() -> None:
        async with lock.hold(tmp_path / "new" / "a.lock", "a", patience=0):
            assert (tmp_path / "new" / "a.lock").exists()

    asyncio.run(use())
    assert list((tmp_path / "new").iterdir()) == []


def test_another_holder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    said: list[str] = []

    async def use() -> None:
        async with lock.hold(path, "the thing", patience=0.1, on_wait=said.append):
            pass

    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(RetryableError, match=rf"the thing .* process {holder.pid} ") as caught:
            asyncio.run(use())
        assert caught.value.exit_code == 75
        assert len(said) == 1
        holder.kill()
    asyncio.run(use())


def test_those_who_wait_take_turns(tmp_path: Path) -> None:
    inside = 0
    most = 0

    async def use() -> None:
        nonlocal inside, most
        async with lock.hold(tmp_path / "a.lock", "a", patience=None):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1

    async def everybody() -> None:
        await asyncio.gather(*(use() for _ in range(5)))

    asyncio.run(everybody())
    assert most == 1
