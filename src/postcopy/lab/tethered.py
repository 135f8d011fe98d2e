"""Runs a command that cannot outlive whoever started it, and whose mounts nobody else sees.

Run by path, by the machine's own interpreter: ``tethered.py PARENT COMMAND [ARGUMENT...]``, where
PARENT is the id of the process that starts it. When that ends, however it ends, the kernel kills
this process, with it the first process of a PID namespace, and with that the command and whatever
it has started; their mounts go with their mount namespace.
"""

import os
import select
import signal
import sys
from pathlib import Path

if __name__ == "__main__":  # run by path in isolated mode: the package is not on the search path
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from postcopy import syscalls
from postcopy.lab import mounts

__all__ = ["main"]


def main(parent: int, command: list[str]) -> int:
    """Run the command and return its exit status, or 128 and the signal that ended it."""
    syscalls.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != parent:
        return 128 + signal.SIGKILL  # it ended before the kernel knew whom to watch
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
    mounts.make_private()
    tether, held = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(held)
        _become(command, tether)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status if status >= 0 else 128 - status


def _become(command: list[str], tether: int) -> None:
    syscalls.set_parent_death_signal(signal.SIGKILL)
    if select.select([tether], [], [], 0)[0]:
        os._exit(128 + signal.SIGKILL)  # the other end is closed: as above
    os.close(tether)
    safe = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount("proc", "/proc", "proc", safe)
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
