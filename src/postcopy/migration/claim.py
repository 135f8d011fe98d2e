"""One supervisor a guest: a lock that dies with its holder.

Guests of one name on different hosts are different guests. Whoever knows which one it means says
so, and excludes only those who mean the same one, or who do not say.
"""

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
def claim(directory: Path, guest: str, of: str | None = None) -> Iterator[None]:
    """Hold the right to supervise `guest` while the block runs.

    The locks are the kernel's (flock(2)), so a killed holder never leaves one behind.

    :param directory: where lock files live; made when missing.
    :param of: which guest of that name, such as its UUID; None claims them all.
    :raises RefusedError: when another process holds it.
    """
    with contextlib.ExitStack() as stack:
        name = _path(directory, guest)
        # All who say which one they mean share the name; who does not say has it alone.
        stack.enter_context(_locked(name, directory, guest, of, shared=of is not None))
        if of is not None:
            stack.enter_context(_locked(_path(directory, guest, of), directory, guest, of))
        yield


@contextlib.contextmanager
def _locked(
    path: Path, directory: Path, guest: str, of: str | None, *, shared: bool = False
) -> Iterator[None]:
    with _explained(path):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(
                f"guest {guest!r} is already being migrated by process"
                f" {holder(directory, guest, of) or 'unknown'}",
                hint=f"watch that one, or end it and run: postcopy attach {guest}",
            ) from None
        if not shared:
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


def holder(directory: Path, guest: str, of: str | None = None) -> int | None:
    """Return the number of the process that supervises `guest` now, or None.

    :param of: which guest of that name; None asks for any of them.
    """
    name = _path(directory, guest)
    which = [_path(directory, guest, of)] if of is not None else directory.glob(f"{name.stem}@*")
    for path in (name, *sorted(which)):
        if (pid := _holder(path)) is not None:
            return pid
    return None


def _holder(path: Path) -> int | None:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
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


def _path(directory: Path, guest: str, of: str | None = None) -> Path:
    # A guest's name has no @ left, so that no other name looks like one with what follows it.
    which = f"@{_plain(of)}" if of is not None else ""
    return directory / f"{_plain(guest)}{which}.lock"


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", text)[-100:]


def _pid(lock: int) -> int | None:
    text = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdigit() else None
