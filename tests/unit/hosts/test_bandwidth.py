"""Sending over the way between two hosts; here both are this machine."""

import contextlib
import random
import socket
import time

import pytest

from postcopy.errors import UnavailableError
from postcopy.hosts.bandwidth import measure_way
from postcopy.hosts.local import LocalHost


def free_port() -> int:
    """Return a port that no connection of another test is given meanwhile."""
    for port in random.sample(range(20_000, 30_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


def stops_listening(port: int) -> bool:
    """Return whether nobody listens any more; whoever was told to end does so on his own."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            return True
        time.sleep(0.02)
    return False


async def test_what_comes_through_is_measured_and_the_listener_ends() -> None:
    port = free_port()
    found = await measure_way(LocalHost(), LocalHost(), "127.0.0.1", (port, port))
    assert found.bandwidth > 1e6
    assert 0 < found.round_trip < 1
    assert stops_listening(port)


async def test_a_port_that_somebody_listens_at_is_left_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError, match="nothing came through") as failed:
            await measure_way(LocalHost(), LocalHost(), "127.0.0.1", (port, port))
        taken.settimeout(0.1)
        with pytest.raises(TimeoutError):
            taken.accept()
    assert "--bandwidth" in str(failed.value.hint)
