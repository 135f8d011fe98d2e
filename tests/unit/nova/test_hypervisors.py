"""The libvirts beneath, as far as libvirt's own test driver goes."""

import libvirt
import pytest

from postcopy.errors import NotFoundError, UnavailableError
from postcopy.libvirt.connection import DomainEvent
from postcopy.migration.phase import Phase
from postcopy.nova.hypervisors import Hypervisors

URI = "test:///default"


@pytest.fixture
def uuid() -> str:
    with libvirt.open(URI) as connection:
        return str(connection.lookupByName("test").UUIDString())


async def test_a_guest_that_does_not_move(uuid: str) -> None:
    watcher = Hypervisors(uuid, URI, None)
    await watcher.open()
    try:
        seen = await watcher.look()
    finally:
        await watcher.close()
    assert seen is not None
    assert (seen.phase, seen.gone, seen.stopped) == (Phase.SETUP, False, False)
    assert "running" in seen.words


async def test_another_guest(uuid: str) -> None:
    watcher = Hypervisors("00000000-0000-0000-0000-000000000001", URI, None)
    with pytest.raises(NotFoundError, match="no domain"):
        await watcher.open()
    await watcher.close()


async def test_no_libvirt(uuid: str) -> None:
    watcher = Hypervisors(uuid, "qemu+unix:///system?socket=/nonexistent", None)
    with pytest.raises(UnavailableError, match="cannot connect"):
        await watcher.open()


async def test_of_many_events_the_latest_of_each_kind_counts(uuid: str) -> None:
    """A pass that has ended is heeded though a lifecycle event came after it."""
    watcher = Hypervisors(uuid, URI, None)
    await watcher.open()
    try:
        suspended = libvirt.VIR_DOMAIN_EVENT_SUSPENDED
        postcopy = libvirt.VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY
        for event in (
            DomainEvent("iteration", 1.0, detail=2),
            DomainEvent("iteration", 2.0, detail=3),
            DomainEvent("lifecycle", 3.0, suspended, postcopy),
            DomainEvent("job-completed", 4.0, figures={"memory_total": 1}),
        ):
            watcher._events.put_nowait(event)
        await watcher.wait(5.0)
        seen = await watcher.look()
    finally:
        await watcher.close()
    assert seen is not None
    assert seen.pass_ended_at == 2.0
    assert watcher.final == {"memory_total": 1}
