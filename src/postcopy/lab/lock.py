"""Locks between processes, which the kernel lets go of when their holder dies."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from postcopy.errors import RetryableError

__all__ = ["hold"]

_POLL_SECONDS = 0.05


@contextlib.asynccontextmanager
async def hold(
    path: Path,
    what: str,
    *,
    patience: float | None,
    on_wait: Callable[[str], None] | None = None,
) -> AsyncIterator[None]:
    """Hold an exclusive lock while the body runs.

    :param path: a file, made for the purpose and removed afterwards.
    :param what: what is locked, in words, for the message.
    :param patience: seconds to wait for another holder; None is for as long as it takes.
    :param on_wait: told once, in words, whom this waits for.
    :raises RetryableError: when the other holder has kept it for all that time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = None if patience is None else asyncio.get_running_loop().time() + patience
    said = False
    while (descriptor := _try(path)) is None:
        holder = _holder(path)
        if deadline is not None and asyncio.get_running_loop().time() >= deadline:
            raise RetryableError(
                f"{what} is in use by {holder}", hint="wait until that has ended, then try again"
            )
        if not said and on_wait is not None:
            on_wait(f"waiting for {holder}")
            said = True
        await asyncio.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        _let_go(path, descriptor)


def _try(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass  # somebody holds it, or has just removed it: both are worth another try
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _let_go(path: Path, descriptor: int) -> None:
    # Removed before the lock goes: whoever gets a removed file notices, and makes a new one.
    path.unlink(missing_ok=True)
    os.close(descriptor)


def _holder(path: Path) -> str:
    try:
        pid = int(path.read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").split()
    except (OSError, ValueError):
        return "another process"
    return f"process {pid} ({b' '.join(words).decode(errors='replace')[:100]})"
