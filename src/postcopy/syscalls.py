"""Linux system calls that the standard library has no name for.

Constants carry their kernel names. Every call raises `OSError` with the kernel's error number and
the path concerned, as the `os` module does. Needs nothing but the standard library, because the
first process of a lab host uses it before there is anything else.
"""

import ctypes
import functools
import os
import platform
import struct
from collections.abc import Sequence

__all__ = [
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUTS",
    "MNT_DETACH",
    "MS_BIND",
    "MS_NODEV",
    "MS_NOEXEC",
    "MS_NOSUID",
    "MS_PRIVATE",
    "MS_RDONLY",
    "MS_REC",
    "MS_SHARED",
    "PR_SET_PDEATHSIG",
    "bpf_constant_program",
    "bpf_flow_program",
    "hold_thread",
    "mount",
    "pivot_root",
    "set_parent_death_signal",
    "setns",
    "umount",
    "unshare",
]

# include/uapi/linux/sched.h
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# include/uapi/linux/mount.h
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SHARED = 1 << 20

# include/linux/fs.h
MNT_DETACH = 2

# include/uapi/linux/prctl.h
PR_SET_PDEATHSIG = 1

# include/uapi/linux/ptrace.h
PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207

# include/uapi/linux/bpf.h
BPF_PROG_LOAD = 5
BPF_PROG_TYPE_SCHED_CLS = 3
_BPF_LD_ABS_B, _BPF_LD_IND_H = 0x30, 0x48
_BPF_MOV64_IMM, _BPF_MOV64_REG = 0xB7, 0xBF
_BPF_ADD64_IMM, _BPF_ADD64_REG = 0x07, 0x0F
_BPF_AND64_IMM, _BPF_LSH64_IMM = 0x57, 0x67
_BPF_EXIT = 0x95
_ETHERNET = 14  # the length of its header

_NR_PTRACE = {"x86_64": 101, "aarch64": 117, "ppc64le": 26, "riscv64": 117, "s390x": 26}
_NR_BPF = {"x86_64": 321, "aarch64": 280, "ppc64le": 361, "riscv64": 280, "s390x": 351}


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, path: str | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result


def _bytes(text: str | os.PathLike[str] | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def unshare(flags: int) -> None:
    """Move the calling thread into new namespaces (unshare(2))."""
    _check(_libc().unshare(ctypes.c_int(flags)))


def setns(descriptor: int, kind: int) -> None:
    """Move the calling thread into the namespace behind a descriptor (setns(2))."""
    _check(_libc().setns(ctypes.c_int(descriptor), ctypes.c_int(kind)))


def mount(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    kind: str | None = None,
    flags: int = 0,
    options: str | None = None,
) -> None:
    """Attach a file system, or change how one is attached (mount(2))."""
    _check(
        _libc().mount(
            _bytes(source),
            _bytes(target),
            _bytes(kind),
            ctypes.c_ulong(flags),
            _bytes(options),
        ),
        os.fspath(target),
    )


def umount(target: str | os.PathLike[str], flags: int = 0) -> None:
    """Detach a file system (umount2(2))."""
    _check(_libc().umount2(_bytes(target), ctypes.c_int(flags)), os.fspath(target))


def pivot_root(new_root: str | os.PathLike[str], put_old: str | os.PathLike[str]) -> None:
    """Make another mount the root of this mount namespace (pivot_root(2))."""
    _check(_libc().pivot_root(_bytes(new_root), _bytes(put_old)), os.fspath(new_root))


def set_parent_death_signal(signal_number: int) -> None:
    """Have the kernel send this process a signal when its parent ends (prctl(2))."""
    _check(_libc().prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number), 0, 0, 0))


def hold_thread(thread: int) -> None:
    """Stop one thread of another process, and no other, until the calling thread ends (ptrace(2)).

    The kernel lets it go on by itself then, so that a killed caller leaves nobody stopped. For use
    in a thread of its own.
    """
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        _check(
            _libc().syscall(
                ctypes.c_long(_NR_PTRACE[platform.machine()]),
                ctypes.c_long(request),
                ctypes.c_long(thread),
                ctypes.c_long(0),
                ctypes.c_long(0),
            )
        )


def bpf_constant_program(value: int) -> int:
    """Load a traffic-control program that answers `value` for every packet (bpf(2)).

    :returns: a descriptor that the caller closes; what uses the program keeps it alive.
    """
    return _bpf_load([(_BPF_MOV64_IMM, 0, 0, 0, value), (_BPF_EXIT, 0, 0, 0, 0)])


def bpf_flow_program(flows: int, first: int) -> int:
    """Load a traffic-control program that tells flows by their ports (IPv4 over Ethernet).

    It answers `first` and the numbers after it, `flows` in all, which is a power of two.

    :returns: a descriptor that the caller closes; what uses the program keeps it alive.
    """
    return _bpf_load(
        [
            (_BPF_MOV64_REG, 6, 1, 0, 0),  # where loads from the packet expect it
            (_BPF_LD_ABS_B, 0, 0, 0, _ETHERNET),
            (_BPF_AND64_IMM, 0, 0, 0, 15),
            (_BPF_LSH64_IMM, 0, 0, 0, 2),
            (_BPF_MOV64_REG, 7, 0, 0, 0),  # the length of the IP header
            (_BPF_LD_IND_H, 0, 7, 0, _ETHERNET),
            (_BPF_MOV64_REG, 8, 0, 0, 0),
            (_BPF_LD_IND_H, 0, 7, 0, _ETHERNET + 2),
            (_BPF_ADD64_REG, 0, 8, 0, 0),
            (_BPF_AND64_IMM, 0, 0, 0, flows - 1),
            (_BPF_ADD64_IMM, 0, 0, 0, first),
            (_BPF_EXIT, 0, 0, 0, 0),
        ]
    )


def _bpf_load(program: Sequence[tuple[int, int, int, int, int]]) -> int:
    """Load instructions: code, destination and source register, offset, immediate value."""
    instructions = b"".join(
        struct.pack("<BBhi", code, source << 4 | destination, offset, value)
        for code, destination, source, offset, value in program
    )
    code = ctypes.create_string_buffer(instructions, len(instructions))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    # union bpf_attr, the part of BPF_PROG_LOAD: type, count, code, licence; the rest is zero
    attributes = ctypes.create_string_buffer(
        struct.pack(
            "<IIQQ",
            BPF_PROG_TYPE_SCHED_CLS,
            len(instructions) // 8,
            ctypes.addressof(code),
            ctypes.addressof(licence),
        ),
        48,
    )
    number = _NR_BPF.get(platform.machine())
    if number is None:
        raise NotImplementedError(f"bpf(2) is not known on {platform.machine()}")
    return _check(
        _libc().syscall(
            ctypes.c_long(number),
            ctypes.c_long(BPF_PROG_LOAD),
            attributes,
            ctypes.c_ulong(len(attributes)),
        )
    )
