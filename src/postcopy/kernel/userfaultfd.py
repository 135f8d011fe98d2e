"""userfaultfd(2): our own binding, with the kernel header's names, and proofs by doing.

Runs on the hosts that are looked at, with their Python (3.9 or newer) and nothing else.

A page fault that a Python thread takes while it holds the interpreter's lock would wait for ever
for a handler in the same process. The side that resolves faults is therefore always another
process: it has the descriptor from a fork, and the descriptor means the memory of whoever made it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import platform
import select
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

__all__ = ["MODES", "Userfaultfd", "features", "open_device", "open_syscall", "prove"]

# include/uapi/linux/userfaultfd.h
UFFD_API = 0xAA
UFFD_USER_MODE_ONLY = 1
USERFAULTFD_IOC_NEW = 0xAA00
UFFDIO_API = 0xC018AA3F
UFFDIO_REGISTER = 0xC020AA00
UFFDIO_COPY = 0xC028AA03
UFFDIO_WRITEPROTECT = 0xC018AA06
UFFDIO_CONTINUE = 0xC020AA07
UFFDIO_REGISTER_MODE_MISSING = 1
UFFDIO_REGISTER_MODE_WP = 2
UFFDIO_REGISTER_MODE_MINOR = 4
UFFDIO_WRITEPROTECT_MODE_WP = 1
UFFD_EVENT_PAGEFAULT = 0x12
UFFD_PAGEFAULT_FLAG_WP = 2
UFFD_PAGEFAULT_FLAG_MINOR = 4
UFFD_FEATURE_PAGEFAULT_FLAG_WP = 1 << 0
UFFD_FEATURE_MISSING_HUGETLBFS = 1 << 4
UFFD_FEATURE_MISSING_SHMEM = 1 << 5
UFFD_FEATURE_THREAD_ID = 1 << 8
UFFD_FEATURE_MINOR_SHMEM = 1 << 10

_NR = {"x86_64": 323, "aarch64": 282, "riscv64": 282, "ppc64le": 364, "s390x": 355}
_DEVICE = "/dev/userfaultfd"
_PAGE = mmap.PAGESIZE
_MARK = b"postcopy"
_LATENCY_FAULTS = 400

MODES = {
    "missing": UFFDIO_REGISTER_MODE_MISSING,
    "minor": UFFDIO_REGISTER_MODE_MINOR,
    "write-protect": UFFDIO_REGISTER_MODE_WP,
}


def open_syscall(flags: int = 0) -> int:
    """Return a new descriptor by the system call. It takes CAP_SYS_PTRACE, or
    ``vm.unprivileged_userfaultfd=1``, or `UFFD_USER_MODE_ONLY`.
    """
    number = _NR.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"userfaultfd(2) is not known on {platform.machine()}")
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(
        ctypes.c_long(number), ctypes.c_long(os.O_CLOEXEC | os.O_NONBLOCK | flags)
    )
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)


def open_device(path: str = _DEVICE) -> int:
    """Return a new descriptor by the device (Linux 6.1): whoever may open that may have one."""
    device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(device, USERFAULTFD_IOC_NEW, os.O_CLOEXEC | os.O_NONBLOCK)
    finally:
        os.close(device)


class Userfaultfd:
    """A descriptor whose version is agreed with the kernel.

    :param make: `open_syscall` or `open_device`.
    :param wanted: ``UFFD_FEATURE_`` bits to switch on.
    :ivar features: what the kernel has.
    """

    def __init__(self, make: Callable[[], int], wanted: int = 0) -> None:
        self.fd = make()
        told = self._ioctl(UFFDIO_API, "=QQQ", UFFD_API, wanted, 0)
        self.features = told[1]

    def close(self) -> None:
        """Let go of it; ranges are no longer watched."""
        os.close(self.fd)

    def register(self, address: int, length: int, mode: int) -> None:
        """Have faults in a range reported instead of resolved."""
        self._ioctl(UFFDIO_REGISTER, "=QQQQ", address, length, mode, 0)

    def read_fault(self) -> tuple[int, int] | None:
        """Return the address and the ``UFFD_PAGEFAULT_FLAG_`` bits of a fault, or None."""
        event, flags, address = struct.unpack("=B7xQQ8x", os.read(self.fd, 32))
        return (address, flags) if event == UFFD_EVENT_PAGEFAULT else None

    def copy(self, address: int, source: int, length: int) -> None:
        """Put a page in place, and wake who waits for it."""
        self._ioctl(UFFDIO_COPY, "=QQQQq", address, source, length, 0, 0)

    def proceed(self, address: int, length: int) -> None:
        """Map the pages that are there already, and wake (``UFFDIO_CONTINUE``)."""
        self._ioctl(UFFDIO_CONTINUE, "=QQQq", address, length, 0, 0)

    def write_protect(self, address: int, length: int, on: bool) -> None:
        """Report writes from now on, or no longer, and wake."""
        mode = UFFDIO_WRITEPROTECT_MODE_WP if on else 0
        self._ioctl(UFFDIO_WRITEPROTECT, "=QQQ", address, length, mode)

    def _ioctl(self, request: int, form: str, *values: int) -> tuple[int, ...]:
        buffer = bytearray(struct.pack(form, *values))
        fcntl.ioctl(self.fd, request, buffer)
        return struct.unpack(form, buffer)


def features(make: Callable[[], int]) -> int:
    """Return the ``UFFD_FEATURE_`` bits that the kernel has."""
    one = Userfaultfd(make)
    one.close()
    return one.features


def prove(faults: int = _LATENCY_FAULTS) -> dict[str, Any]:
    """Try everything as whoever runs this, and return what worked.

    ``syscall``, ``device`` and ``user-mode-only`` are the name of an error number, empty where a
    descriptor was had; ``features`` are bits; ``modes`` has an error, empty for none, of each of
    `MODES`; ``latency`` is how long faults took to be resolved, in seconds.
    """
    told: dict[str, Any] = {"uid": os.geteuid()}
    ways: list[Callable[[], int]] = []
    for name, make in (
        ("device", open_device),
        ("syscall", open_syscall),
        ("user-mode-only", lambda: open_syscall(UFFD_USER_MODE_ONLY)),
    ):
        told[name] = _error_of(partial(_open_and_close, make))
        if not told[name]:
            ways.append(make)
    if not ways:
        return told
    # As QEMU does: the device first (8.0 and newer), then the system call.
    make = ways[0]
    told["features"] = features(make)
    told["modes"] = {name: _error_of(partial(_resolve, make, name, 1)) for name in MODES}
    if not told["modes"]["missing"]:
        told["latency"] = _latency(make, faults)
    return told


def _open_and_close(make: Callable[[], int]) -> None:
    os.close(make())


def _error_of(work: Callable[[], object]) -> str:
    try:
        work()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except _NotResolvedError as error:
        return str(error)
    return ""


class _NotResolvedError(Exception):
    """A fault was resolved, and the memory is not what it should be."""


def _latency(make: Callable[[], int], faults: int) -> dict[str, float]:
    took = sorted(_resolve(make, "missing", faults))
    return {
        "count": len(took),
        "p50": took[len(took) // 2],
        "p99": took[min(len(took) - 1, len(took) * 99 // 100)],
    }


def _resolve(make: Callable[[], int], mode: str, faults: int) -> list[float]:
    """Take that many faults of a mode, have them resolved, and return how long each took."""
    wanted = {
        "missing": 0,
        "minor": UFFD_FEATURE_MINOR_SHMEM,
        "write-protect": UFFD_FEATURE_PAGEFAULT_FLAG_WP,
    }[mode]
    length = faults * _PAGE
    backing = os.memfd_create("postcopy") if mode == "minor" else -1
    if backing >= 0:
        os.ftruncate(backing, length)
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    memory = mmap.mmap(backing, length, mmap.MAP_SHARED if backing >= 0 else private)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    one = Userfaultfd(make, wanted)
    try:
        if mode == "write-protect":
            for offset in range(0, length, _PAGE):
                memory[offset] = 1  # only pages that are there can be protected everywhere
        if mode == "minor":
            os.pwrite(backing, _MARK * (length // len(_MARK)), 0)  # there, and not mapped
        one.register(start, length, MODES[mode])
        if mode == "write-protect":
            one.write_protect(start, length, True)
        took = []
        with _handler(one, mode):
            for offset in range(0, length, _PAGE):
                before = time.perf_counter_ns()
                if mode == "write-protect":
                    memory[offset] = _MARK[0]
                found = memory[offset]
                took.append((time.perf_counter_ns() - before) / 1e9)
                if found != _MARK[0]:
                    raise _NotResolvedError("the page that came is not the one that was sent")
        return took
    finally:
        one.close()
        if backing >= 0:
            os.close(backing)


@contextmanager
def _handler(one: Userfaultfd, mode: str) -> Iterator[None]:
    """Have another process resolve faults while the block runs.

    :raises _NotResolvedError: at the end, when it saw faults of another mode.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = _serve(one, mode, os.getppid())
        finally:
            os._exit(code)
    try:
        yield
    finally:
        os.kill(pid, 15)
        status = os.waitpid(pid, 0)[1]
    if os.WIFEXITED(status):
        raise _NotResolvedError("a fault was reported as another kind")


def _serve(one: Userfaultfd, mode: str, parent: int) -> int:
    page = ctypes.create_string_buffer(_MARK * (_PAGE // len(_MARK)), _PAGE)
    expected = {"missing": 0, "minor": UFFD_PAGEFAULT_FLAG_MINOR, "write-protect": 2}[mode]
    kinds = UFFD_PAGEFAULT_FLAG_WP | UFFD_PAGEFAULT_FLAG_MINOR
    poll = select.poll()
    poll.register(one.fd, select.POLLIN)
    while os.getppid() == parent:
        if not poll.poll(1000):
            continue
        fault = one.read_fault()
        if fault is None:
            continue
        address, flags = fault
        if flags & kinds != expected:
            return 1
        address &= ~(_PAGE - 1)
        if mode == "missing":
            one.copy(address, ctypes.addressof(page), _PAGE)
        elif mode == "minor":
            one.proceed(address, _PAGE)
        else:
            one.write_protect(address, _PAGE, False)
    return 1
