"""Labs for real: hosts come up, the link between them fails in its three ways, nothing stays.

The first test may have to build the cached root, which takes half a minute.
"""

import asyncio
import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import pytest

from postcopy import paths, pids
from postcopy.errors import (
    NotFoundError,
    RetryableError,
    UnavailableError,
)
from postcopy.lab import names, network, state
from postcopy.lab.host import Host
from postcopy.lab.lab import DEFAULT_RATE, Lab
from postcopy.lab.link import LinkState
from postcopy.lab.status import LabState

pytestmark = pytest.mark.lab

RECEIVER = """
import socket, sys, time
connection, _ = socket.create_server((sys.argv[1], 5000)).accept()
count, start, buffer = 0, time.monotonic(), bytearray(1 << 20)
while size := connection.recv_into(buffer):
    count += size
print(count / (time.monotonic() - start))
"""

SENDER = """
import socket, sys, time
while True:
    try:
        connection = socket.create_connection((sys.argv[1], 5000))
        break
    except ConnectionRefusedError:
        time.sleep(0.01)
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    connection.sendall(bytes(1 << 18))
"""

# Two ends of a connection that send a byte every 20 ms and write down each byte's arrival, or
# the error that ends it. The kernel tells it once, to whichever thread asks first.
TICKER = """
import socket, sys, threading, time
address, log = sys.argv[2], open(sys.argv[3], "w", buffering=1)
if sys.argv[1] == "server":
    connection, _ = socket.create_server((address, 5001)).accept()
else:
    while True:
        try:
            connection = socket.create_connection((address, 5001))
            break
        except ConnectionRefusedError:
            time.sleep(0.01)
def send():
    try:
        while True:
            connection.send(b"x")
            time.sleep(0.02)
    except BrokenPipeError:
        pass
    except OSError as error:
        log.write(type(error).__name__ + "\\n")
threading.Thread(target=send, daemon=True).start()
try:
    while connection.recv(1):
        log.write("tick\\n")
except OSError as error:
    log.write(type(error).__name__ + "\\n")
"""


def new_lab(word: str) -> Lab:
    return Lab(f"t-{word}-{os.getpid()}")


def remains(lab: Lab) -> list[str]:
    """Return everything of a lab that can be found on this machine, in whatever way."""
    marked = pids.has_environment(names.MARKER, lab.name)
    inside = pids.in_namespace("net", *names.namespaces(lab.name).values())
    found = [f"process {pid}" for pid in pids.find(lambda pid: marked(pid) or inside(pid))]
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            mounts = (process / "mountinfo").read_text() if process.name.isdigit() else ""
            found += [
                f"mount {line} of {process.name}"
                for line in mounts.splitlines()
                if lab.name in line
            ]
    found += [
        f"link {name}" for _, name in socket.if_nameindex() if names.owned_link(name, lab.name)
    ]
    candidates = [
        *names.namespaces(lab.name).values(),
        state.directory(lab.name),
        state.lock_path(lab.name),
        state.layers_directory(lab.name),
    ]
    found += [f"file {path}" for path in candidates if os.path.lexists(path)]
    builds = (paths.cache_dir() / "roots").glob(".*")
    found += [f"build {path}" for path in builds if not is_attended(path) and path.exists()]
    return found


def is_attended(build: Path) -> bool:
    """Return whether somebody is at it: another test may need a root, too, that nobody had yet."""
    release = build.name.split(".")[1]
    try:
        with build.with_name(f"{release}.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    """A lab that is up."""
    made = new_lab("one")
    await made.up()
    yield made
    await made.down()


@contextmanager
def python(script: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a script that prints a line when it is ready, and kill it with -9 at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


async def soon(look: Callable[[], bool]) -> None:
    """Return when it is so, or after some seconds: the caller looks again."""
    deadline = time.monotonic() + 10
    while not look():
        if time.monotonic() > deadline:
            return
        await asyncio.sleep(0.02)


async def inside(host: Host, script: str, *arguments: str) -> str:
    done = await host.run("python3", "-c", script, *arguments, timeout=60)
    return done.stdout


async def test_a_lab_comes_up_is_seen_and_goes_without_a_trace() -> None:
    lab = new_lab("whole")
    assert (await lab.status()).state is LabState.ABSENT
    with pytest.raises(UnavailableError, match="not up") as caught:
        lab.host("alpha")
    assert "lab up" in caught.value.hint
    stages: list[str] = []
    try:
        await lab.up(progress=stages.append)
        status = await lab.status()
        assert status.state is LabState.UP
        assert [host.name for host in status.hosts] == ["alpha", "beta"]
        assert all(host.alive for host in status.hosts)
        assert status.link is not None
        assert (status.link.state, status.link.rate) == (LinkState.UP, DEFAULT_RATE)
        assert lab.name in [known.name for known in Lab.list()]
        assert stages[-1] == f"lab {lab.name} is up"
        assert lab.roots()["alpha"].kernel.stat().st_size > 1_000_000
        assert lab.roots()["alpha"].qemu_version.startswith("1:10.")
    finally:
        await lab.down()
    assert remains(lab) == []
    assert (await lab.status()).state is LabState.ABSENT
    await lab.down()
    assert remains(lab) == []


async def test_warm_it_takes_seconds() -> None:
    lab = new_lab("warm")
    await lab.up()
    await lab.down()
    start = time.monotonic()
    await lab.up()
    up = time.monotonic() - start
    start = time.monotonic()
    await lab.down()
    assert up < 5
    assert time.monotonic() - start < 2


async def test_a_host_is_a_machine_of_its_own(lab: Lab) -> None:
    alpha, beta = lab.host("alpha"), lab.host("beta")
    with pytest.raises(NotFoundError):
        lab.host("gamma")
    assert (await alpha.run("hostname")).stdout == "alpha\n"
    assert (await alpha.run("cat", "/proc/1/comm")).stdout.startswith("python")
    assert (await alpha.run("sh", "-c", "ls /sys/class/net")).stdout == "control\ndata\nlo\n"
    mounts = (await alpha.run("cat", "/proc/mounts")).stdout.splitlines()
    assert {line.split()[1] for line in mounts} == {
        "/", "/proc", "/sys", "/dev", "/dev/pts", "/dev/shm", "/run", "/run/postcopy", "/tmp",
        "/mnt/shared",
    }  # fmt: skip
    assert "QEMU emulator version 10" in (await alpha.run("qemu-system-x86_64", "--version")).stdout
    environment = dict(line.split("=", 1) for line in (await alpha.run("env")).stdout.splitlines())
    assert environment.keys() == {"PATH", "HOME", "LANG", names.MARKER}
    assert (await alpha.run("id", "-un", user="nobody")).stdout == "nobody\n"
    with pytest.raises(NotFoundError, match="nosuchuser"):
        await alpha.run("true", user="nosuchuser")
    await alpha.run("touch", "/etc/only-here", "/run/postcopy/shared")
    assert (alpha.runtime_dir / "shared").exists()
    assert (await beta.run("ls", "/etc/only-here", check=False)).returncode == 2
    assert not (lab.roots()["alpha"].directory / "etc/only-here").exists()


async def test_orphans_inside_a_host_are_reaped(lab: Lab) -> None:
    alpha = lab.host("alpha")
    await alpha.run("sh", "-c", "(sleep 0.1 &) >/dev/null 2>&1")
    deadline = time.monotonic() + 10
    # One that is dead and not reaped still has its name.
    while "sleep" in (await alpha.run("ps", "-e", "-o", "comm=")).stdout:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def test_up_again_changes_the_rate_and_nothing_else(lab: Lab) -> None:
    pid = lab.host("alpha").pid
    await lab.up(rate=12_500_000)
    status = await lab.status()
    assert lab.host("alpha").pid == pid
    assert status.link is not None
    assert status.link.rate == 12_500_000
    with pytest.raises(NotFoundError):
        await lab.up(release="potato")


async def test_two_labs_live_side_by_side(lab: Lab) -> None:
    others = [new_lab("two"), new_lab("three")]
    try:
        await asyncio.gather(*(other.up() for other in others))
        addresses = {made.host("alpha").data_address for made in (lab, *others)}
        assert len(addresses) == 3
        for other in others:
            await other.down()
            assert remains(other) == []
        assert (await lab.status()).state is LabState.UP
        assert (await lab.host("alpha").run("hostname")).stdout == "alpha\n"
    finally:
        for other in others:
            await other.down()


async def test_a_lab_that_is_being_changed_is_refused_to_others(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postcopy.lab.lab._LOCK_SECONDS", 0.2)
    holder = "import asyncio, sys\nfrom pathlib import Path\nfrom postcopy.lab import lock\n"
    holder += "async def main():\n async with lock.hold(Path(sys.argv[1]), 'it', patience=0):\n"
    holder += "  print('held', flush=True)\n  sys.stdin.read()\nasyncio.run(main())\n"
    with (
        python(holder, str(state.lock_path(lab.name))),
        pytest.raises(RetryableError, match=r"in use by process \d+ \(.*import asyncio"),
    ):
        await lab.down()
    assert (await lab.status()).state is LabState.UP


async def test_a_lab_with_a_dead_host_is_half_there_and_up_mends_it(lab: Lab) -> None:
    pid = lab.host("beta").pid
    os.kill(pid, signal.SIGKILL)
    await soon(lambda: not Path(f"/proc/{pid}").exists())
    assert (await lab.status()).state is LabState.HALF
    with pytest.raises(UnavailableError, match="half there") as caught:
        lab.host("alpha")
    assert "lab up" in caught.value.hint
    stages: list[str] = []
    await lab.up(progress=stages.append)
    assert any("half there" in stage for stage in stages)
    assert (await lab.status()).state is LabState.UP


async def test_a_failure_on_the_way_up_takes_away_what_was_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*arguments: object) -> None:
        raise UnavailableError("no more hosts today")

    lab = new_lab("fail")
    monkeypatch.setattr("postcopy.lab.host.start", fail)
    with pytest.raises(UnavailableError, match="no more hosts"):
        await lab.up()
    assert remains(lab) == []


async def test_killed_at_any_moment_of_up_down_leaves_nothing(lab: Lab) -> None:
    victim = new_lab("killed")
    script = "import asyncio; from postcopy.lab.lab import Lab; from postcopy.lab import network\n"
    script += f"import pyroute2; print('go', flush=True); asyncio.run(Lab({victim.name!r}).up())"
    for turn in range(12):
        try:
            with python(script):
                await asyncio.sleep(random.uniform(0, 0.02) + turn * 0.015)
        finally:
            await victim.down()
        assert remains(victim) == [], f"turn {turn}"
        assert (await lab.status()).state is LabState.UP


@pytest.mark.parametrize("fair", [False, True], ids=["fifo", "fair"])
@pytest.mark.parametrize("rate", [12_500_000, 125_000_000])
async def test_the_rate_is_what_the_link_carries(lab: Lab, rate: int, fair: bool) -> None:
    await lab.link().set_rate(rate, fair=fair)
    assert (await lab.link().status()).rate == rate
    alpha, beta = lab.host("alpha"), lab.host("beta")
    receiver = asyncio.create_task(inside(beta, RECEIVER, beta.data_address))
    await inside(alpha, SENDER, beta.data_address, "2")
    goodput = float(await receiver)
    assert 0.9 * rate < goodput <= rate


class Tickers:
    """A connection between the hosts that is busy in both directions."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.tasks: list[asyncio.Task[str]] = []

    async def __aenter__(self) -> Self:
        address = self.lab.host("beta").data_address
        for role, host in (("server", "beta"), ("client", "alpha")):
            ticker = inside(self.lab.host(host), TICKER, role, address, "/run/postcopy/log")
            self.tasks.append(asyncio.create_task(ticker))
        assert await self.tick(5)
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def logs(self) -> list[list[str]]:
        files = [self.lab.host(host).runtime_dir / "log" for host in names.HOSTS]
        return [file.read_text().split() if file.exists() else [] for file in files]

    async def last_words(self) -> list[str]:
        """Return the error that ended the connection at each end, once there is one."""

        def words() -> list[str]:
            return [log[-1] if log else "" for log in self.logs()]

        await soon(lambda: not {"", "tick"} & set(words()))
        return words()

    async def tick(self, seconds: float) -> bool:
        """Return whether a byte arrives at both ends within that time."""
        before = [len(log) for log in self.logs()]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if all(len(log) > count for log, count in zip(self.logs(), before, strict=True)):
                return True
            await asyncio.sleep(0.01)
        return False


@pytest.mark.parametrize(
    ("failure", "expected"), [("down", LinkState.DOWN), ("drop", LinkState.DROPPING)]
)
async def test_a_link_that_fails_is_silent_until_it_is_up_again(
    lab: Lab, failure: str, expected: LinkState
) -> None:
    link = lab.link()
    async with Tickers(lab) as tickers:
        await getattr(link, failure)()
        await getattr(link, failure)()
        assert (await link.status()).state is expected
        deadline = time.monotonic() + 10
        while await tickers.tick(0.5):  # what came before the failure is still being written down
            assert time.monotonic() < deadline
        # The machine still reaches the hosts: the control link is another one.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((lab.host("alpha").control_address, 9), timeout=2)
        await link.up()
        assert (await link.status()).state is LinkState.UP
        assert await tickers.tick(10)


async def test_a_reset_breaks_connections_at_both_ends_at_once(lab: Lab) -> None:
    async with Tickers(lab) as tickers:
        assert await lab.link().reset() >= 1
        expected = {"ConnectionAbortedError", "ConnectionResetError"}
        assert set(await tickers.last_words()) <= expected
        assert await lab.link().reset() == 0
        assert (await lab.link().status()).state is LinkState.UP


async def test_a_reset_reaches_both_ends_of_a_link_that_drops(lab: Lab) -> None:
    async with Tickers(lab) as tickers:
        await lab.link().drop()
        assert await lab.link().reset() == 2
        assert await tickers.last_words() == ["ConnectionAbortedError"] * 2


async def test_what_a_lab_leaves_is_seen_by_its_network_alone() -> None:
    """A record can be lost, with /run emptied by hand; what the kernel holds is still found."""
    lab = new_lab("lost")
    await lab.up()
    try:
        (state.directory(lab.name) / "lab.json").unlink()
        assert (await lab.status()).state is LabState.HALF
        assert await network.exists(lab.name)
    finally:
        await lab.down()
    assert remains(lab) == []
