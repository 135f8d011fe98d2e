"""Processes that nobody holds a handle of: finding them in ``/proc``, and ending them.

A `Predicate` says which are meant; `end` kills them, and those that they start meanwhile.
"""

import asyncio
import contextlib
import os
import re
import signal
import socket
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from postcopy.errors import PostcopyError

__all__ = [
    "Predicate",
    "end",
    "find",
    "has_environment",
    "in_namespace",
    "inside",
    "lineage",
    "listener_of",
    "resident_bytes",
    "start_time",
    "wait_until_reaped",
]

_END_SECONDS = 10.0
_UCRED = struct.Struct("iII")  # unix(7): pid, uid, gid
_MAPPING = re.compile(r"^Size: +(\d+) kB\n(?:.+\n)*?Rss: +(\d+) kB$", re.MULTILINE)

Predicate = Callable[[int], bool]
"""Whether a process, given by its id, is meant. False for one that has gone in the meantime."""


def has_environment(name: str, value: str) -> Predicate:
    """Match processes that were started with ``name=value`` in their environment."""
    entry = f"{name}={value}".encode()

    def matches(pid: int) -> bool:
        try:
            return entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False  # gone, or a zombie, which has no environment left

    return matches


def listener_of(path: Path) -> int | None:
    """Return the process that listens on a unix socket; None if that cannot be told."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.settimeout(1.0)
            client.connect(str(path))
            peer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        except OSError:
            return None
    pid: int = _UCRED.unpack(peer)[0]
    return pid or None


def resident_bytes(pid: int, size_bytes: int) -> int | None:
    """Return how much of a process's largest mapping of about that size is in memory.

    Of a QEMU that is the guest's memory. None if there is no such mapping, or it may not be seen.
    """
    try:
        text = Path(f"/proc/{pid}/smaps").read_text()
    except OSError:
        return None
    found = None
    for size, resident in _MAPPING.findall(text):
        if abs(int(size) * 1024 - size_bytes) <= size_bytes // 100:
            found = max(found or 0, int(resident) * 1024)
    return found


def in_namespace(kind: str, *paths: Path) -> Predicate:
    """Match processes that are in one of the namespaces bound to these paths.

    :param kind: a name in ``/proc/PID/ns``, such as ``net``.
    """
    wanted = set()
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            wanted.add((status.st_dev, status.st_ino))

    def matches(pid: int) -> bool:
        try:
            status = Path(f"/proc/{pid}/ns/{kind}").stat()
        except OSError:
            return False
        return (status.st_dev, status.st_ino) in wanted

    return matches


def inside(first: int, number: int) -> int | None:
    """Return the id, here, of a process that has another one in a PID namespace.

    :param first: a process of that namespace, by its id here.
    :param number: the id that the process has in the namespace (proc_pid_status(5), ``NSpid``).
    :returns: None when there is none.
    """

    def matches(pid: int) -> bool:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return False
        seen = re.search(r"^NSpid:\s+.*?(\d+)$", status, re.MULTILINE)
        return seen is not None and int(seen[1]) == number

    found = find(matches)
    among = in_namespace("pid", Path(f"/proc/{first}/ns/pid"))
    return next(filter(among, found), None)


def find(matches: Predicate) -> list[int]:
    """Return the ids of all processes that match, this one and its forebears left out."""
    spared = lineage()
    return [
        pid
        for pid in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        if pid not in spared and matches(pid)
    ]


def lineage() -> set[int]:
    """Return the id of this process and those of its parent, its parent's parent and so on."""
    pids = set()
    pid = os.getpid()
    while pid > 0 and pid not in pids:
        pids.add(pid)
        pid = int(_stat_fields(pid)[1])
    return pids


def start_time(pid: int) -> int | None:
    """Return when a process began, in clock ticks after boot, or None if there is none.

    Together with the id it names one process for good: ids are used again. A zombie counts as
    gone.
    """
    try:
        fields = _stat_fields(pid)
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _stat_fields(pid: int) -> list[str]:
    # proc_pid_stat(5): the command's name, in parentheses, may itself hold blanks and parentheses.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


async def end(matches: Predicate) -> set[int]:
    """Kill every process that matches, and those that they start meanwhile, and wait for the end.

    :returns: the ids that they had.
    :raises PostcopyError: when some are still there after 10 seconds.
    """
    ended: set[int] = set()
    left: list[int] = []
    try:
        async with asyncio.timeout(_END_SECONDS):
            while left := find(matches):
                ended.update(left)
                async with asyncio.TaskGroup() as group:
                    for pid in left:
                        group.create_task(_kill(pid, matches))
    except TimeoutError as error:
        raise PostcopyError(
            f"processes {', '.join(map(str, left))} do not end after SIGKILL",
            hint="`ps -o pid,stat,wchan,args -p PID` shows what the kernel is waiting for",
        ) from error
    return ended


async def wait_until_reaped(ended: Iterable[int], patience: float) -> None:
    """Give the parents of dead processes a moment to take notice of the deaths.

    An orphan's parent is the machine's first process; where that looks only now and then, as in
    many containers, the dead and their PID namespace stay listed for a second. They hold nothing
    any more, so after `patience` seconds a parent that does not look is not waited for.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while any(map(_is_zombie, ended)):  # noqa: ASYNC110 - another's child: no event comes
                await asyncio.sleep(0.02)


def _is_zombie(pid: int) -> bool:
    try:
        return _stat_fields(pid)[0] == "Z"
    except OSError:
        return False


async def _kill(pid: int, matches: Predicate) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # The id may have gone to somebody else before the descriptor was open.
        if not matches(pid):
            return
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        await _readable(descriptor)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
