"""Against libvirt's own ``test:///default``: the real library, and a host that is only made up."""

import asyncio
import threading
import time
from pathlib import Path

import libvirt
import pytest

from postcopy.errors import NotFoundError, PostcopyError, UnavailableError
from postcopy.libvirt.connection import Connection
from postcopy.watch import LibvirtWindow, Sighting, State
from postcopy.watch.window import state_of

URI = "test:///default"


def held() -> tuple[int, int]:
    """Return how many files and threads this process has."""
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


async def test_active_domains_are_seen_with_their_names() -> None:
    window = LibvirtWindow(URI)
    await window.open()
    [sighting] = await window.look()
    assert (sighting.name, sighting.state) == ("test", State.RUNNING)
    assert await window.names(sighting.uuid) == ["test", sighting.uuid]
    with pytest.raises(NotFoundError):
        await window.names("00000000-0000-4000-8000-000000000000")
    assert window.host
    await window.close()
    with pytest.raises(UnavailableError):
        await window.look()


async def test_a_domain_that_is_paused_is_news_at_once() -> None:
    window = LibvirtWindow(URI)
    await window.open()
    connection = await Connection.open(URI)
    domain = await connection.domain("test")
    began = time.monotonic()
    for change in (domain.suspend, domain.resume):
        waiting = asyncio.create_task(window.news(30))
        await asyncio.sleep(0)
        await connection.call(change)
        await waiting
    assert time.monotonic() - began < 10
    await window.news(0.01)  # nothing more has come
    await connection.close()
    await window.close()


@pytest.mark.parametrize(
    ("state", "reason", "meant"),
    [
        ("PAUSED", "PAUSED_POSTCOPY", State.LEAVING),
        ("PAUSED", "PAUSED_POSTCOPY_FAILED", State.STRANDED),
        ("RUNNING", "RUNNING_POSTCOPY", State.ARRIVING),
        ("RUNNING", "RUNNING_POSTCOPY_FAILED", State.HALTED),
        ("RUNNING", "RUNNING_MIGRATED", State.RUNNING),
        ("PAUSED", "PAUSED_USER", State.OTHER),
        ("SHUTOFF", "SHUTOFF_FAILED", State.OTHER),
    ],
)
def test_states_are_told_apart_by_their_reasons(state: str, reason: str, meant: State) -> None:
    numbers = [getattr(libvirt, f"VIR_DOMAIN_{name}") for name in (state, reason)]
    assert state_of(*numbers) is meant


async def test_hundreds_of_looks_and_absences_leave_nothing_open() -> None:
    window, away = LibvirtWindow(URI), LibvirtWindow("qemu+unix:///system?socket=/nowhere")

    async def once() -> list[Sighting]:
        await window.open()
        seen = [await window.look() for _ in range(5)][-1]
        await window.news(0.0)
        await window.close()
        with pytest.raises(PostcopyError):
            await away.open()
        await away.close()
        return list(seen)

    await once()
    before = held()
    for _ in range(100):
        assert len(await once()) == 1
    after = held()
    assert after[0] <= before[0] + 1
    assert after[1] <= before[1] + 2


async def test_a_daemon_that_hangs_holds_nobody_up_and_is_let_go_of_later() -> None:
    window = LibvirtWindow(URI)
    await window.open()
    connection = window._open()
    with connection._turn:  # as a call that gets no answer
        async with asyncio.timeout(30):
            await window.close()
        assert window._closing
        await window.open()  # anew, meanwhile
    async with asyncio.timeout(30):
        await asyncio.wait(window._closing)
    assert len(await window.look()) == 1
    await window.close()
