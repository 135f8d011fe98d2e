"""The way between two hosts, looked at from the one that sends: is it dead, slow, back again?"""

import json
import re

from postcopy.errors import PostcopyError
from postcopy.hosts.access import HostAccess
from postcopy.migration.recovery import Connection

__all__ = ["HostWire", "parse_connections"]

_ASK_SECONDS = 3.0
_NEVER_SECONDS = 20.0

# Sends an echo request (as root) and a SYN to a port that nobody listens on, every tenth of a
# second, until anything comes back: an echo, a reset, or a connection. It never connects to the
# port of the migration, where it would be taken for the source.
_KNOCK = """
import errno, json, os, select, socket, struct, sys, time
address, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
v6 = family == socket.AF_INET6
deadline = time.monotonic() + seconds
try:
    echo = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if v6 else 1)
    echo.setblocking(False)
except OSError:
    echo = None
number = os.getpid() & 0xffff
def packet(sequence):
    head = struct.pack("!BBHHH", 128 if v6 else 8, 0, 0, number, sequence & 0xffff)
    total = sum(struct.unpack("!4H", head))
    total = (total >> 16) + (total & 0xffff)
    return head[:2] + struct.pack("!H", ~total & 0xffff) + head[4:]
def echoed():
    try:
        while True:
            data = echo.recv(2048)
            data = data if v6 else data[(data[0] & 15) * 4:]
            if data[0] == (129 if v6 else 0) and struct.unpack("!H", data[4:6])[0] == number:
                return True
    except OSError:
        return False
def back():
    sequence = 0
    while True:
        knock = socket.socket(family, socket.SOCK_STREAM)
        knock.setblocking(False)
        state = knock.connect_ex((address, port))
        if state in (0, errno.ECONNREFUSED):
            return True
        if echo is not None:
            try:
                echo.sendto(packet(sequence), (address, 0))
            except OSError:
                pass
        until = time.monotonic() + 0.1
        while time.monotonic() < until:
            ready = [one for one in (echo,) if one is not None]
            waits = [knock] if state == errno.EINPROGRESS else []
            able, written, _ = select.select(ready, waits, [], max(0, until - time.monotonic()))
            if able and echoed():
                return True
            if written:
                if knock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (0, errno.ECONNREFUSED):
                    return True
                time.sleep(max(0, until - time.monotonic()))
        knock.close()
        sequence += 1
        if time.monotonic() >= deadline:
            return False
print(json.dumps(back()))
"""


class HostWire:
    """A `postcopy.migration.recovery.Wire` through a way into the source's host.

    :param source: the host that the memory comes from.
    :param address: of the other host, as the memory goes there; None where that is not known, and
        then nothing can be said of its connections.
    :param ports: the first and the last of those that the migration may connect to.
    :param detour: the other host's address on another network, over which it is to be connected
        again: that way is knocked at, whether or not the first is dead.
    """

    def __init__(
        self,
        source: HostAccess,
        address: str | None,
        ports: tuple[int, int],
        detour: str | None = None,
    ) -> None:
        self._source = source
        self._address = address
        self._detour = detour
        self._ports = ports
        self._answered = False
        self._silent_seconds = 0.0

    async def connection(self) -> Connection | None:
        """Ask the source's kernel (``ss``, sock_diag(7))."""
        if self._address is None:
            return None
        towards = f"dst {self._address}" + (f" or dst {self._detour}" if self._detour else "")
        try:
            asked = await self._source.run(
                *("ss", "-tinHO", "(", *towards.split(), ")"),
                *("and", "dport", ">=", f":{self._ports[0]}"),
                *("and", "dport", "<=", f":{self._ports[1]}"),
                seconds=_ASK_SECONDS,
            )
        except PostcopyError:
            return None
        return parse_connections(asked.stdout) if asked.returncode == 0 else None

    async def prepare(self) -> None:
        """Find out, while all is well, whether the other host answers those who knock."""
        if not await self.wait(0.3):
            self._silent_seconds = _NEVER_SECONDS

    async def wait(self, seconds: float) -> bool | None:
        """Knock at the other host until it answers.

        One that never did may be behind a firewall that answers nobody: then it cannot be told.
        """
        if not self._answered and self._silent_seconds >= _NEVER_SECONDS:
            return None
        towards = self._detour or self._address
        if towards is None:
            return None
        port = self._ports[1] + 1 if self._ports[1] < 65535 else self._ports[0] - 1
        try:
            asked = await self._source.run(
                *("python3", "-I", "-c", _KNOCK, towards, str(port), str(seconds)),
                seconds=seconds + _ASK_SECONDS,
            )
            carries = bool(json.loads(asked.stdout))
        except (PostcopyError, ValueError):
            return None
        self._answered = self._answered or carries
        self._silent_seconds += 0.0 if carries else seconds
        return carries


_FIELD = re.compile(r"\b(lastack|unacked|notsent):(\d+)")
_RETRANS = re.compile(r"\b(?:backoff:(\d+)|retrans:(\d+)/\d+)")


def parse_connections(text: str) -> Connection:
    """Read ``ss -tinHO``: a line for each connection. Those that wait longest are told of."""
    lines = [line for line in text.splitlines() if line.split()[:1] in (["ESTAB"], ["CLOSE-WAIT"])]
    outstanding, silent, again = 0, 0.0, 0
    for line in lines:
        fields = {name: int(value) for name, value in _FIELD.findall(line)}
        columns = line.split()
        queued = int(columns[2]) if len(columns) > 2 and columns[2].isdigit() else 0
        outstanding += max(0, queued - fields.get("notsent", 0))
        times = max((int(a or b) for a, b in _RETRANS.findall(line)), default=0)
        if fields.get("unacked", 0) and times:
            silent = max(silent, fields.get("lastack", 0) / 1000)
            again = max(again, times)
    return Connection(
        count=len(lines),
        unacknowledged_bytes=outstanding,
        silent_seconds=silent,
        retransmissions=again,
    )
