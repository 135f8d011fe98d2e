"""Setting up a mount namespace that was just made, wherever this process has its root."""

import os
from pathlib import Path

from postcopy import syscalls

__all__ = ["make_private", "make_root_a_mount"]


def make_private() -> None:
    """Keep what is mounted from here on from showing up in other namespaces, and the reverse.

    To be called in a mount namespace of one's own.
    """
    here = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    # To the root of the namespace, out of a chroot if this is one, and back.
    syscalls.setns(namespace, syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    os.fchdir(here)
    os.chroot(".")
    os.close(here)
    os.close(namespace)


def make_root_a_mount() -> None:
    """Make up for a chroot: pivot_root(2) works only when the present root is a mount."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    if any(line.split()[4] == "/" for line in lines):
        return
    syscalls.mount("/", "/", None, syscalls.MS_BIND | syscalls.MS_REC)
    os.chdir("/..")  # steps onto what was just mounted, which "/" alone would not
    os.chroot(".")
