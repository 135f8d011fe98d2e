"""What a host tells of the connections and the path that a migration takes."""

import socket

import pytest

from postcopy.hosts.local import LocalHost
from postcopy.hosts.ways import host_of_uri
from postcopy.hosts.wire import HostWire, parse_connections
from postcopy.testing import FakeHost

HEALTHY = (
    "ESTAB 0 212992 198.18.0.1:50122 198.18.0.2:49152 cubic wscale:7,7 rto:204 rtt:0.3/0.1"
    " cwnd:10 bytes_acked:5242880 lastsnd:4 lastrcv:2040 lastack:4 unacked:12 notsent:131072\n"
)
DEAD = (
    "ESTAB 0 212992 198.18.0.1:50122 198.18.0.2:49152 cubic wscale:7,7 rto:1632 backoff:3"
    " lastsnd:1220 lastrcv:9000 lastack:1440 unacked:12 retrans:1/3 lost:12 notsent:131072\n"
)
IDLE = "ESTAB 0 0 198.18.0.1:50124 198.18.0.2:49152 cubic rto:204 lastack:9000\n"


def test_a_healthy_connection_and_one_that_waits_for_its_turn() -> None:
    found = parse_connections(HEALTHY + IDLE)
    assert (found.count, found.silent_seconds, found.retransmissions) == (2, 0.0, 0)
    assert found.unacknowledged_bytes == 212992 - 131072


def test_a_dead_connection_beside_an_idle_one() -> None:
    found = parse_connections(IDLE + DEAD)
    assert (found.silent_seconds, found.retransmissions) == (1.44, 3)


def test_no_connection_and_one_that_is_being_made() -> None:
    assert parse_connections("").count == 0
    assert parse_connections("SYN-SENT 0 1 198.18.0.1:50124 198.18.0.2:49152\n").count == 0


async def test_knocking_is_answered_by_a_port_that_is_closed() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        port = taken.getsockname()[1]
        assert await HostWire(LocalHost(), "127.0.0.1", (port - 1, port - 1)).wait(1.0) is True


async def test_a_host_that_never_answered_may_be_behind_a_firewall() -> None:
    class Silent(FakeHost):
        async def run(self, *argv: str, stdin: str | None = None, seconds: float | None = None):  # type: ignore[no-untyped-def]
            done = await super().run(*argv)
            return type(done)(0, "false\n", "")

    wire = HostWire(Silent(), "192.0.2.1", (49152, 49215))
    assert await wire.wait(1.0) is False
    assert await wire.wait(30.0) is False
    assert await wire.wait(1.0) is None
    wire = HostWire(Silent(), "192.0.2.1", (49152, 49215))
    await wire.prepare()
    assert await wire.wait(1.0) is None


async def test_a_host_that_cannot_be_asked_says_nothing_of_its_path() -> None:
    wire = HostWire(FakeHost(error="no route"), "192.0.2.1", (49152, 49215))
    assert await wire.wait(1.0) is None
    assert await wire.connection() is None


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("qemu:///system", "local"),
        ("qemu+ssh://root@beta/system", "ssh://root@beta"),
        ("qemu+ssh://beta:2222/system", "ssh://beta:2222"),
        ("qemu+ssh://beta/system?command=/opt/ssh", None),
        ("qemu+tls://beta/system", None),
        ("qemu+unix:///system?socket=/run/other", None),
        ("test:///default", None),
    ],
)
def test_who_reaches_libvirt_by_ssh_reaches_the_host_so(uri: str, host: str | None) -> None:
    assert host_of_uri(uri) == host


async def test_another_network_is_knocked_at_and_both_are_looked_at() -> None:
    """A first path that stays dead must not keep recovery from taking the second one."""
    asked: list[tuple[str, ...]] = []

    class Listening(FakeHost):
        async def run(self, *argv: str, stdin: str | None = None, seconds: float | None = None):  # type: ignore[no-untyped-def]
            asked.append(argv)
            done = await super().run(*argv)
            return type(done)(0, "true\n" if argv[0] == "python3" else DEAD, "")

    wire = HostWire(Listening(), "198.18.0.2", (49152, 49215), "192.0.2.2")
    assert await wire.wait(1.0) is True
    assert "192.0.2.2" in asked[-1]
    assert "198.18.0.2" not in asked[-1]
    assert (await wire.connection()) is not None
    assert " ".join(asked[-1]).startswith("ss -tinHO ( dst 198.18.0.2 or dst 192.0.2.2 ) and dport")
    # Of a way whose other end is not known, no connection must be taken for gone.
    assert await HostWire(Listening(), None, (49152, 49215), "192.0.2.2").connection() is None
