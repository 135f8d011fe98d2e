"""Has requests for missing pages leave a host at once.

QEMU leaves Nagle's algorithm on (RFC 896): a request waits until the one before it is acknowledged,
and that stands in the queue behind the memory that is being sent. Half of the time that a fault
takes is this wait (`docs/benchmarks.md`). The option that turns it off can be set from outside, on
a copy of QEMU's descriptor: pidfd_getfd(2).
"""

import json

from postcopy.errors import UnavailableError
from postcopy.hosts.access import HostAccess

__all__ = ["hasten"]

_SECONDS = 10.0

# `ss` finds the descriptors by the port that migrations come in at.
_HASTEN = r"""
import ctypes, json, os, re, socket, subprocess, sys
PIDFD_GETFD = 438  # the same on every architecture
ports = "( sport >= :%s and sport <= :%s )" % tuple(sys.argv[1:3])
listed = subprocess.check_output(["ss", "-tnpHO", "state", "connected", *ports.split()], text=True)
libc = ctypes.CDLL(None, use_errno=True)
count, trouble = 0, ""
for pid, number in re.findall(r'"qemu[^"]*",pid=(\d+),fd=(\d+)', listed):
    try:
        process = os.pidfd_open(int(pid))
        copy = libc.syscall(PIDFD_GETFD, process, int(number), 0)
        os.close(process)
        if copy < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        with socket.socket(fileno=copy) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        count += 1
    except (OSError, AttributeError) as error:
        trouble = str(error)
print(json.dumps([count, trouble]))
"""


async def hasten(host: HostAccess, ports: tuple[int, int]) -> int:
    """Turn Nagle's algorithm off on the connections that guests come in over.

    That lasts as long as the connections do. Asking again is harmless.

    :param ports: the first and the last of those that migrations come in at.
    :returns: how many connections there were.
    :raises UnavailableError: when the host does not answer, or does not let it be done.
    """
    asked = await host.run(
        *("python3", "-I", "-S", "-c", _HASTEN, str(ports[0]), str(ports[1])), seconds=_SECONDS
    )
    try:
        count, trouble = json.loads(asked.stdout)
    except (TypeError, ValueError):
        count, trouble = 0, (asked.stderr.strip().splitlines() or ["no answer"])[-1]
    if trouble:
        raise UnavailableError(
            f"host {host.name} does not let its QEMU's connections be set: {trouble}",
            hint="it takes root there, a Linux from 5.6 on, and ss of iproute2",
        )
    return int(count)
