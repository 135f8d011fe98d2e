"""One supervisor a guest: a lock that dies with its holder."""

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from postcopy.errors import JournalError, RefusedError

__all__ = ["claim", "holder"]


@contextlib.contextmanager
def claim(directory: Path, guest: str) -> Iterator[None]:
    """Hold the right to supervise `guest` while the block runs.

    The lock is the kernel's (flock(2)), so a killed holder never leaves one behind.

    :param directory: where lock files live; made when missing.
    :raises RefusedError: when another process holds it.
    """
    path = _path(directory, guest)
    with _explained(path):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(
                f"guest {guest!r} is already being migrated by process {_pid(lock) or 'unknown'}",
                hint=f"watch that one, or end it and run: postcopy attach {guest}",
            ) from None
        with _explained(path):
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno == errno.ENOSPC
        raise JournalError(
            f"cannot write the lock {path}: {error.strerror}",
            hint=f"{'the disk is full: make room' if full else 'make the directory writable'},"
            " or point POSTCOPY_STATE_DIR at another directory",
        ) from error


def holder(directory: Path, guest: str) -> int | None:
    """Return the number of the process that supervises `guest` now, or None."""
    try:
        lock = os.open(_path(directory, guest), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid(lock)
    else:
        return None
    finally:
        os.close(lock)


def _path(directory: Path, guest: str) -> Path:
    return directory / f"{re.sub(r'[^A-Za-z0-9._-]', '_', guest)}.lock"


def _pid(lock: int) -> int | None:
    text = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdigit() else None
