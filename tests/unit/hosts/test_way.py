"""What is done inside a libvirt host when recovery goes past libvirt."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from postcopy.errors import UnavailableError
from postcopy.hosts.local import LocalHost
from postcopy.hosts.way import HostWay
from postcopy.hosts.ways import ways_between
from postcopy.processes import Completed

CONNECTIONS = """\
ESTAB 0 0 198.18.0.2:49152 198.18.0.1:37372 users:(("qemu-system-x86",pid=40,fd=15))
ESTAB 0 0 198.18.0.2:49153 198.18.0.1:37373 users:(("qemu-system-x86",pid=41,fd=15))
ESTAB 0 0 198.18.0.2:5900 198.18.0.9:41234 users:(("qemu-system-x86",pid=40,fd=19))
"""
RECORD = (
    "<domstatus>\n  <monitor path='/var/lib/libvirt/qemu/domain-1-web/monitor.sock' type='unix'/>"
)


class Host(LocalHost):
    """A host with two migrations coming in, whose kernel closes connections or does not.

    :param pid: of the process that stands for the QEMU of domain web.
    """

    def __init__(self, *, closes: bool = True, pid: int = 40) -> None:
        super().__init__("beta")
        self._connections = CONNECTIONS.splitlines()
        self._closes = closes
        self._files = {"web.pid": f"{pid}\n", "web.xml": RECORD}

    async def run(
        self, *argv: str, stdin: str | None = None, seconds: float | None = None
    ) -> Completed:
        match argv:
            case ("cat", path):
                return Completed(0, self._files.get(Path(path).name, ""), "")
            case ("ss", "-K", *_, here, "dst", there):
                if self._closes:
                    kept = (c for c in self._connections if f"{here} {there}" not in c)
                    self._connections = list(kept)
                return Completed(0, "", "")
            case ("ss", "-tlnHO"):
                return Completed(0, "LISTEN 0 4096 0.0.0.0:16509 0.0.0.0:*", "")
            case ("ss", *_):
                return Completed(0, "\n".join(self._connections), "")
        return await super().run(*argv, stdin=stdin, seconds=seconds)

    @property
    def left(self) -> list[str]:
        """The local ends of the connections that are left."""
        return [line.split()[3] for line in self._connections]


def way(host: Host) -> HostWay:
    return HostWay(host, (49152, 49215))


async def test_only_the_connections_that_carry_the_domain_are_closed() -> None:
    host = Host()
    assert await way(host).cut("web") == 1
    assert host.left == ["198.18.0.2:49153", "198.18.0.2:5900"]
    assert await way(host).cut("web") == 0


async def test_a_kernel_that_does_not_close_them_is_told() -> None:
    with pytest.raises(UnavailableError, match="does not close"):
        await way(Host(closes=False)).cut("web")


DAEMONS = """\
ESTAB 0 0 198.18.0.2:16509 198.18.0.1:51000 users:(("libvirtd",pid=7,fd=20))
ESTAB 0 28 198.18.0.2:51111 198.18.0.1:16509 users:(("libvirtd",pid=7,fd=31))
"""


async def test_of_a_daemon_only_what_it_has_made_itself_is_closed() -> None:
    host = Host()
    host._connections = DAEMONS.splitlines()
    assert await way(host).hang_up()
    assert host.left == ["198.18.0.2:16509"]
    assert not await way(host).hang_up()


async def test_of_several_that_a_daemon_has_made_none_is_closed() -> None:
    host = Host()
    other = DAEMONS.splitlines()[1].replace("51111", "51112").replace("198.18.0.1", "198.18.0.9")
    host._connections = [*DAEMONS.splitlines(), other]
    assert not await way(host).hang_up()
    assert len(host.left) == 3


async def test_a_domain_that_is_not_there_is_told() -> None:
    with pytest.raises(UnavailableError, match="no QEMU of a domain 'db'"):
        await way(Host()).cut("db")
    with pytest.raises(UnavailableError, match="no record of a monitor"):
        await way(Host()).own_monitor("db")


async def test_libvirts_record_says_which_monitor_it_uses() -> None:
    path = "/var/lib/libvirt/qemu/domain-1-web/monitor.sock"
    assert await way(Host()).own_monitor("web") == path


@pytest.fixture
def loop() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits in poll(2), as a QEMU's main loop does."""
    script = "import select, sys; print(flush=True); p = select.poll(); p.register(0); p.poll()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


async def test_a_main_loop_that_turns_and_one_that_does_not(loop: subprocess.Popen[bytes]) -> None:
    there = way(Host(pid=loop.pid))
    if (awake := await there.awake("web")) is None:
        pytest.skip("this kernel does not tell where a process waits")
    assert awake
    os.kill(loop.pid, signal.SIGSTOP)
    assert await there.awake("web") is False
    os.kill(loop.pid, signal.SIGCONT)


async def test_of_a_domain_that_is_not_there_nobody_can_tell() -> None:
    assert await way(Host(pid=(1 << 22) + 1)).awake("web") is None


class Configured(Host):
    """A destination with a qemu.conf of its own."""

    def __init__(self, conf: str) -> None:
        super().__init__()
        self._files["qemu.conf"] = conf
        self._connections = [line.replace("49152", "60001") for line in self._connections]


async def test_ports_and_address_are_those_that_the_destination_is_configured_with() -> None:
    conf = (
        'migration_port_min = 60000\nmigration_port_max = "60010"\nmigration_host = "data.beta"\n'
    )
    host = Configured(conf)
    ways = await ways_between(LocalHost("alpha"), host)
    assert ways.address == "data.beta"
    assert ways.wire is not None
    assert ways.destination is not None
    assert await ways.destination.cut("web") == 1
    assert host.left == ["198.18.0.2:49153", "198.18.0.2:5900"]


async def test_without_a_word_of_the_destinations_the_ports_are_libvirts_own() -> None:
    host = Host()
    ways = await ways_between(None, host)
    assert (ways.address, ways.wire, ways.source) == (None, None, None)
    assert ways.destination is not None
    assert await ways.destination.cut("web") == 1
