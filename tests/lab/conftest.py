"""One lab for all migration tests, and a busy guest for each."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from postcopy.lab.guest import LabGuest
from postcopy.lab.lab import Lab
from postcopy.lab.machine import GuestSpec
from postcopy.lab.workload import Workload

from .commands import data, postcopy

LAB = "-".join(("t-moves", *filter(None, [os.environ.get("PYTEST_XDIST_WORKER")])))
"""One for each of the test processes that run side by side."""

GUEST = "busy"
BUSY = Workload(cold_mib=64, hot_mib=64)
"""Rewritten whole in every pass; too much to send within the downtime limit at 1 Gb/s."""
CALM = Workload(cold_mib=64, hot_mib=64, rate=500)
RATE = 125_000_000
SLOW = 25_000_000
_SOON_SECONDS = 10.0


@dataclass(frozen=True)
class Bench:
    """A lab and the guest in it."""

    lab: Lab

    def link(self, rate: int) -> None:
        """Set the data link's rate, in bytes a second."""
        asyncio.run(self.lab.link().set_rate(rate))

    def boot(self, workload: Workload) -> None:
        """Start the guest on alpha."""
        spec = GuestSpec(name=GUEST, workload=workload)
        asyncio.run(LabGuest.start(self.lab, spec, "alpha"))

    def states(self) -> dict[str, str]:
        """Return what each QEMU of the guest says of itself, by host."""
        looked = asyncio.run(LabGuest.load(self.lab, GUEST).look())
        return {host: state.run_state for host, state in looked.items()}

    def migration(self, host: str) -> str:
        """Return what the QEMU on a host says of the migration."""
        return asyncio.run(LabGuest.load(self.lab, GUEST).look())[host].migration

    def assert_whole(self, host: str) -> None:
        """Check that the guest runs on that host alone, with every page of its memory right."""
        soon(self.states, {host: "running"})
        verdict = data("lab", "guest", GUEST, "--lab", LAB, "--verify")
        assert verdict["pages_wrong"] == 0
        assert verdict["pages_checked"] == (BUSY.cold_mib + BUSY.hot_mib) * 256


def soon(look: Callable[[], object], expected: object) -> None:
    """Wait until a look shows what is expected: what a migration leaves behind ends by itself."""
    deadline = time.monotonic() + _SOON_SECONDS
    while (seen := look()) != expected and time.monotonic() < deadline:
        time.sleep(0.2)
    assert seen == expected


_NODELAY = r"""
import ctypes, os, re, socket, subprocess
listed = subprocess.check_output(["ss", "-tnpHO", "state", "connected", "sport", ">=", ":49152"])
for pid, number in re.findall(rb'"qemu[^"]*",pid=(\d+),fd=(\d+)', listed):
    copy = ctypes.CDLL(None).syscall(438, os.pidfd_open(int(pid)), int(number), 0)
    print(socket.socket(fileno=copy).getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
"""


def held_back_nothing(lab: Lab) -> list[bool]:
    """Return whether each connection that a guest comes to beta over sends all at once."""
    beta = lab.host("beta").access()
    asked = asyncio.run(beta.run("python3", "-c", _NODELAY, seconds=10.0))
    return [line != "0" for line in asked.stdout.split()]


@pytest.fixture(scope="session")
def moves_lab() -> Iterator[Lab]:
    """A lab for the whole session."""
    lab = Lab(LAB)
    asyncio.run(lab.down())
    asyncio.run(lab.up())
    yield lab
    asyncio.run(lab.down())


@pytest.fixture
def bench(moves_lab: Lab) -> Iterator[Bench]:
    """A lab at 1 Gb/s, without guests before and after."""
    asyncio.run(moves_lab.up())  # a test may have left it half there
    made = Bench(moves_lab)
    made.link(RATE)
    yield made
    if GUEST in LabGuest.names(moves_lab):
        postcopy("lab", "guest", GUEST, "--lab", LAB, "--stop")


@pytest.fixture
def busy(bench: Bench) -> Bench:
    """The same with a guest on alpha that pre-copy cannot move."""
    bench.boot(BUSY)
    return bench
