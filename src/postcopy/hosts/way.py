"""A way into one libvirt host, past libvirt: its QEMUs' sockets, its connections, its daemon."""

import re
from collections.abc import Callable
from pathlib import Path

from postcopy.errors import PostcopyError, UnavailableError
from postcopy.hosts.access import HostAccess
from postcopy.hosts.haste import hasten

__all__ = ["HostWay"]

_SECONDS = 10.0
_RESTART_SECONDS = 120.0
_CONNECTION = re.compile(r"\s(\S+):(\d+)\s+(\S+):(\d+)\s+users:")
_DAEMON = r'"(libvirtd|virtqemud)",'
_MONITOR = re.compile(r"<monitor path=(['\"])(/.+?)\1")

# Closes a connection that it has made for that, as `ss -K` closes others (sock_diag(7)).
_ABLE = """
import socket, subprocess
with socket.create_server(("127.0.0.1", 0)) as server:
    near = socket.create_connection(server.getsockname())
    far, _ = server.accept()
    ends = ["%s:%d" % end for end in (near.getsockname(), near.getpeername())]
    subprocess.call(["ss", "-K", "-tn", "src", ends[0], "dst", ends[1]], stdout=subprocess.DEVNULL)
    near.settimeout(0.3)
    try:
        near.recv(1)
    except socket.timeout:
        print("open")
    except OSError:
        print("closed")
"""

# Where its first thread waits in the kernel (proc_pid_wchan(5)): a main loop that turns is in
# poll(2) at nearly every look; one that hangs, at none. A kernel that does not tell says 0.
_AWAKE = """
import sys, time
seen = set()
for _ in range(20):
    with open("/proc/%s/wchan" % sys.argv[1]) as file:
        seen.add(file.read())
    if "poll" in "".join(seen):
        break
    time.sleep(0.05)
told = "".join(seen - {"0"})
print(("awake" if "poll" in told else "hung") if told else "untold")
"""

# By systemd, or where that does not run, the process itself, as it was started. One that still
# waits for a migration to end is ended after a while, as systemd would.
_RESTART = r"""
name=$(pgrep -x virtqemud >/dev/null && echo virtqemud || echo libvirtd)
if [ -d /run/systemd/system ]; then
    systemctl restart $name.service || exit 1
else
    pid=$(pgrep -o -x $name) || { echo "neither libvirtd nor virtqemud runs" >&2; exit 1; }
    IFS=$(printf '\n.'); IFS=${IFS%.}
    set -- $(tr '\0' '\n' </proc/$pid/cmdline)
    kill $pid
    for n in $(seq 500); do
        kill -0 $pid 2>/dev/null || break
        [ $n -eq 150 ] && kill -9 $pid
        sleep 0.02
    done
    setsid -f "$@" </dev/null >/dev/null 2>&1
fi
for _ in $(seq 500); do
    virsh -q -c qemu:///system uri >/dev/null 2>&1 && exit
    sleep 0.02
done
echo "$name does not answer" >&2
exit 1
"""


class HostWay:
    """A `postcopy.libvirt.ways.Way` through a `HostAccess`.

    :param ports: the first and the last of those that migrations come in at.
    """

    def __init__(self, access: HostAccess, ports: tuple[int, int]) -> None:
        self._access = access
        self._ports = ports

    async def socket(self, path: str) -> Path:
        return await self._access.socket(path)

    async def hasten(self) -> int:
        return await hasten(self._access, self._ports)

    async def able_to_cut(self) -> bool:
        try:
            tried = await self._access.run("python3", "-I", "-c", _ABLE, seconds=_SECONDS)
        except PostcopyError:
            return False
        return tried.stdout.strip() == "closed"

    async def cut(self, domain: str) -> int:
        found = await self._connections(domain)
        for here, there in found:
            await self._close(here, there)
        if found and set(found) & set(await self._connections(domain)):
            raise UnavailableError(
                f"the kernel of host {self._access.name} does not close connections",
                hint="it lacks CONFIG_INET_DIAG_DESTROY, or this is not root there",
            )
        return len(found)

    async def hang_up(self) -> bool:
        served = await self._access.run("ss", "-tlnHO", seconds=_SECONDS)
        ports = {line.split()[3].rpartition(":")[2] for line in served.stdout.splitlines()}
        made = await self._connected(_DAEMON, lambda port: port not in ports)
        if len(made) != 1:
            return False
        await self._close(*made[0])
        return True

    async def _close(self, here: str, there: str) -> None:
        await self._access.run("ss", "-K", "-tn", "src", here, "dst", there, seconds=_SECONDS)

    async def _connections(self, domain: str) -> list[tuple[str, str]]:
        """Return both ends of the connections that carry a domain, and nobody else's."""
        pid = await self._pid(domain)
        first, last = self._ports
        return await self._connected(f"pid={pid},", lambda port: first <= int(port) <= last)

    async def _connected(self, of: str, at: Callable[[str], bool]) -> list[tuple[str, str]]:
        """Return both ends of the connections of some processes.

        :param of: what the line of such a process matches.
        :param at: whether a port at this end is one that counts.
        """
        listed = await self._access.run("ss", "-tnpHO", "state", "connected", seconds=_SECONDS)
        lines = (line for line in listed.stdout.splitlines() if re.search(of, line))
        ends = (match.groups() for line in lines if (match := _CONNECTION.search(line)))
        return [
            (f"{here}:{port}", f"{there}:{other}") for here, port, there, other in ends if at(port)
        ]

    async def awake(self, domain: str) -> bool | None:
        try:
            pid = await self._pid(domain)
            asked = await self._access.run("python3", "-I", "-c", _AWAKE, pid, seconds=_SECONDS)
        except PostcopyError:
            return None
        return {"awake": True, "hung": False}.get(asked.stdout.strip())

    async def own_monitor(self, domain: str) -> str:
        told = await self._access.run("cat", f"/run/libvirt/qemu/{domain}.xml", seconds=_SECONDS)
        if (found := _MONITOR.search(told.stdout)) is None:
            raise UnavailableError(
                f"libvirt on host {self._access.name} has no record of a monitor of {domain!r}"
            )
        return found[2]

    async def restart_libvirt(self) -> None:
        done = await self._access.run("sh", stdin=_RESTART, seconds=_RESTART_SECONDS)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
            raise UnavailableError(
                f"libvirt's daemon on host {self._access.name} does not restart: {said}",
                hint="start it there: systemctl start libvirtd",
            )

    async def _pid(self, domain: str) -> str:
        told = await self._access.run("cat", f"/run/libvirt/qemu/{domain}.pid", seconds=_SECONDS)
        if not (pid := told.stdout.strip()).isdigit():
            raise UnavailableError(f"host {self._access.name} has no QEMU of a domain {domain!r}")
        return pid
