"""Whom libvirt runs QEMU as, and becoming that: what root may do proves nothing about QEMU.

Runs on the hosts that are looked at, with their Python (3.9 or newer) and nothing else.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import re
import struct
from pathlib import Path
from typing import NamedTuple

from postcopy.probe import collect as look

__all__ = ["Account", "become", "qemu_account"]

_CONF = "/etc/libvirt/qemu.conf"
_DEFAULTS = ("libvirt-qemu", "qemu")
"""Debian's and Red Hat's."""

# include/uapi/linux/prctl.h, include/uapi/linux/capability.h
PR_CAPBSET_DROP = 24
_LINUX_CAPABILITY_VERSION_3 = 0x20080522


class Account(NamedTuple):
    """A user as libvirt would have QEMU be.

    ``clear`` says whether all capabilities are taken away, of root too; ``source`` says why it is
    this user.
    """

    name: str
    uid: int
    gid: int
    clear: bool
    source: str


def qemu_account(conf: str = _CONF) -> Account:
    """Return whom libvirt runs QEMU as on this host; without libvirt, who asks."""
    said = dict(_settings(look.lines(conf)))
    clear = said.get("clear_emulator_capabilities") != "0"
    if "user" in said:
        found = _user(said["user"])
        if found is not None:
            return Account(found.pw_name, found.pw_uid, found.pw_gid, clear, conf)
    for name in _DEFAULTS:
        found = _user(name)
        if found is not None:
            return Account(name, found.pw_uid, found.pw_gid, clear, "the default of libvirt")
    own = _user(f"+{os.getuid()}")
    name = own.pw_name if own else str(os.getuid())
    return Account(name, os.getuid(), os.getgid(), False, "there is no user of libvirt's")


def become(account: Account) -> None:
    """Be that user from now on, as libvirt has QEMU be, for good.

    :raises OSError: when this process may not.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0:
        if os.geteuid() != account.uid:
            raise PermissionError(1, "only root can become another user")
        return
    if account.clear:
        last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
        for capability in range(last + 1):
            libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)
    if account.uid != 0:
        os.setgroups(os.getgrouplist(account.name, account.gid))
        os.setgid(account.gid)
        os.setuid(account.uid)
    elif account.clear:
        header = ctypes.create_string_buffer(struct.pack("=II", _LINUX_CAPABILITY_VERSION_3, 0))
        if libc.capset(header, ctypes.create_string_buffer(24)) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        # libvirt takes a number with a plus sign, and without one if there is no such name.
        return pwd.getpwuid(int(name)) if re.fullmatch(r"\+?\d+", name) else pwd.getpwnam(name)
    except (KeyError, ValueError, OverflowError):
        return None


def _settings(lines: list[str]) -> list[tuple[str, str]]:
    found = []
    for line in lines:
        match = re.match(r'\s*(\w+)\s*=\s*"?([^"#]*?)"?\s*(?:#.*)?$', line)
        if match:
            found.append((match.group(1), match.group(2)))
    return found
