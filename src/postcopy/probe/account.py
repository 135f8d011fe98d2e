"""Whom libvirt runs QEMU as, and becoming that: what root may do proves nothing about QEMU.

Runs on the hosts that are looked at, with their Python (3.9 or newer) and nothing else.
"""

from __future__ import annotations

import ctypes
import errno
import os
import pwd
import re
import stat
from pathlib import Path
from typing import NamedTuple

from postcopy.probe import collect as look

__all__ = ["Account", "become", "qemu_account"]

_CONF = "/etc/libvirt/qemu.conf"
_DEFAULTS = ("libvirt-qemu", "qemu")
"""Debian's and Red Hat's."""

_DEVICE = "/dev/userfaultfd"
_GRANTS = (10, 1)
"""Since this version libvirt opens that device to each QEMU, in that QEMU's own ``/dev``."""

# include/uapi/linux/sched.h, include/uapi/linux/mount.h
CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2


class Account(NamedTuple):
    """A user; ``source`` says why QEMU is this one: a file, or words.

    ``granted`` says whether libvirt opens ``/dev/userfaultfd`` to it.
    """

    name: str
    uid: int
    gid: int
    source: str
    granted: bool = False


def qemu_account(conf: str = _CONF) -> Account:
    """Return whom libvirt runs QEMU as on this host; without libvirt, who asks."""
    lines = look.lines(conf)
    name, granted = _setting("user", lines), _grants("\n".join(lines))
    found = _user(name) if name else None
    if found is not None:
        return Account(found.pw_name, found.pw_uid, found.pw_gid, conf, granted)
    for name in _DEFAULTS:
        found = _user(name)
        if found is not None:
            source = "the default of libvirt"
            return Account(name, found.pw_uid, found.pw_gid, source, granted)
    own = _user(str(os.getuid()))
    name = own.pw_name if own else str(os.getuid())
    return Account(name, os.getuid(), os.getgid(), "there is no user of libvirt's")


def become(account: Account) -> None:
    """Be that user from now on, for good.

    The kernel takes all capabilities from a process that stops being root. One that stays root
    keeps them, as libvirt's QEMU does (seen of libvirt 9.0 and 11.3, with its defaults).

    :raises OSError: when this process may not.
    """
    if os.geteuid() == account.uid:
        return
    if os.geteuid() != 0:
        raise PermissionError(errno.EPERM, "only root can become another user")
    if account.granted:
        _grant(account)
    os.setgroups(os.getgrouplist(account.name, account.gid))
    os.setgid(account.gid)
    os.setuid(account.uid)


def _grants(conf: str) -> bool:
    """Return whether this host's libvirt opens the device to the QEMUs that it starts."""
    namespaces, listed = _list("namespaces", conf), _list("cgroup_device_acl", conf)
    if (namespaces is not None and '"mount"' not in namespaces) or (
        listed is not None and f'"{_DEVICE}"' not in listed
    ):
        return False
    if not Path(_DEVICE).exists():
        return False
    said = re.match(r"(\d{1,6})\.(\d{1,6})", str(look.run(["virsh", "--version"]).get("out")))
    return said is not None and (int(said[1]), int(said[2])) >= _GRANTS


def _grant(account: Account) -> None:
    """Give this process a ``/dev/userfaultfd`` of that user's, as libvirt does: nobody sees it.

    :raises OSError: where that cannot be done.
    """
    node = Path("/dev/shm/userfaultfd")
    _call("unshare", CLONE_NEWNS)
    _call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    _call("mount", b"none", b"/dev/shm", b"tmpfs", 0, None)
    os.mknod(node, stat.S_IFCHR | 0o600, Path(_DEVICE).stat().st_rdev)
    os.chown(node, account.uid, account.gid)
    _call("mount", bytes(node), _DEVICE.encode(), None, MS_BIND, None)
    _call("umount2", b"/dev/shm", MNT_DETACH)


def _call(name: str, *arguments: bytes | int | None) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        # libvirt takes a number with a plus sign, and without one if there is no such name.
        return pwd.getpwuid(int(name)) if re.fullmatch(r"\+?\d+", name) else pwd.getpwnam(name)
    except (KeyError, ValueError, OverflowError):
        return None


def _list(key: str, conf: str) -> str | None:
    """Return what is between the brackets of a list; None where it is not set."""
    found = re.findall(rf"^\s*{key}\s*=\s*\[([^\]]*)\]", conf, re.MULTILINE)
    return found[-1] if found else None


def _setting(key: str, lines: list[str]) -> str:
    """Return the value of a setting of libvirt's; empty where it is not set."""
    value = ""
    for line in lines:
        match = re.match(r'\s*(\w+)\s*=\s*"?([^"#]*?)"?\s*(?:#.*)?$', line)
        if match and match.group(1) == key:
            value = match.group(2)
    return value
