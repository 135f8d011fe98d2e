"""Daemons that hang, are away for long, and come back: nothing must pile up meanwhile."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from postcopy.errors import UnavailableError
from postcopy.libvirt.connection import Connection
from postcopy.libvirt.ends import Ends
from postcopy.libvirt.look import Half
from postcopy.libvirt.opening import Opening


@pytest.fixture
def hung(tmp_path: Path) -> Iterator[str]:
    """The URI of a daemon that takes connections and never says a word, as one that is stopped."""
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield f"qemu+unix:///system?socket={path}"


def blocked() -> int:
    return sum(thread.name.endswith("(run)") for thread in threading.enumerate())


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_daemon_that_hangs_is_waited_for_by_one_attempt(hung: str) -> None:
    opening = Opening(hung)
    before = blocked()
    for _ in range(20):
        with pytest.raises(UnavailableError, match="no libvirt answers"):
            await opening.connection(0.01)
    assert blocked() - before == 1
    await opening.close()


async def test_ends_ask_a_daemon_that_hangs_once(hung: str) -> None:
    ends = Ends("test:///default", hung)
    before = blocked()
    for _ in range(10):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await ends.connect()
    assert blocked() - before <= 2
    await ends.close()


async def test_a_daemon_that_keeps_one_waiting_is_out_of_reach_and_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such as one that was started again, and waits for a QEMU that hangs."""
    ends, answers, asked = Ends("test:///default", "test:///default"), asyncio.Event(), []
    await ends.connect()

    async def look_at(connection: Connection, uuid: str) -> Half:
        asked.append(connection)
        if connection is ends.both[1]:
            await answers.wait()
        return Half(reachable=True)

    monkeypatch.setattr("postcopy.libvirt.ends.look_at", look_at)
    monkeypatch.setattr("postcopy.libvirt.ends._ANSWER_SECONDS", 0.05)
    for _ in range(3):
        assert await ends.halves("some") == (Half(reachable=True), Half(reachable=False))
    assert asked.count(ends.destination) == 1
    answers.set()
    assert await ends.halves("some") == (Half(reachable=True), Half(reachable=True))
    await ends.close()


async def test_what_is_refused_is_said_each_time_and_one_that_answers_is_let_go() -> None:
    opening = Opening("qemu+unix:///system?socket=/nowhere")
    for _ in range(2):
        with pytest.raises(UnavailableError, match="nowhere"):
            await opening.connection()
    opening = Opening("test:///default")
    connection = await opening.connection()
    assert await connection.alive()
    await connection.close()


async def test_hundreds_of_connections_with_events_leave_nothing_open() -> None:
    async def once() -> None:
        connection = await Connection.open("test:///default")
        async with connection.events():
            await connection.domain_names()
        await connection.close()

    await once()
    before = open_files()
    for _ in range(200):
        await once()
    assert open_files() <= before + 1


async def test_the_lifecycle_of_all_domains_is_heard() -> None:
    connection = await Connection.open("test:///default")
    domain = await connection.domain("test")
    async with connection.events() as events:
        await connection.call(domain.suspend)
        event = await asyncio.wait_for(events.get(), 5)
        assert (event.kind, event.uuid) == ("lifecycle", domain.UUIDString())
        await connection.call(domain.resume)
    await connection.close()
