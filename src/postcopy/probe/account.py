"""Whom libvirt runs QEMU as, and becoming that: what root may do proves nothing about QEMU.

Runs on the hosts that are looked at, with their Python (3.9 or newer) and nothing else.
"""

from __future__ import annotations

import errno
import os
import pwd
import re
from typing import NamedTuple

from postcopy.probe import collect as look

__all__ = ["Account", "become", "qemu_account"]

_CONF = "/etc/libvirt/qemu.conf"
_DEFAULTS = ("libvirt-qemu", "qemu")
"""Debian's and Red Hat's."""


class Account(NamedTuple):
    """A user; ``source`` says why QEMU is this one: a file, or words."""

    name: str
    uid: int
    gid: int
    source: str


def qemu_account(conf: str = _CONF) -> Account:
    """Return whom libvirt runs QEMU as on this host; without libvirt, who asks."""
    name = _setting("user", look.lines(conf))
    found = _user(name) if name else None
    if found is not None:
        return Account(found.pw_name, found.pw_uid, found.pw_gid, conf)
    for name in _DEFAULTS:
        found = _user(name)
        if found is not None:
            return Account(name, found.pw_uid, found.pw_gid, "the default of libvirt")
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
    os.setgroups(os.getgrouplist(account.name, account.gid))
    os.setgid(account.gid)
    os.setuid(account.uid)


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        # libvirt takes a number with a plus sign, and without one if there is no such name.
        return pwd.getpwuid(int(name)) if re.fullmatch(r"\+?\d+", name) else pwd.getpwnam(name)
    except (KeyError, ValueError, OverflowError):
        return None


def _setting(key: str, lines: list[str]) -> str:
    """Return the value of a setting of libvirt's; empty where it is not set."""
    value = ""
    for line in lines:
        match = re.match(r'\s*(\w+)\s*=\s*"?([^"#]*?)"?\s*(?:#.*)?$', line)
        if match and match.group(1) == key:
            value = match.group(2)
    return value
