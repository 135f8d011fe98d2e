"""Against libvirt's own ``test:///default``: the real library, and a host that is only made up."""

import asyncio
from collections.abc import AsyncIterator

import libvirt
import pytest

from postcopy.errors import (
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    PostcopyError,
    RefusedError,
    RetryableError,
    UnavailableError,
)
from postcopy.libvirt.connection import Connection, LibvirtCallError, translate
from postcopy.libvirt.guards import check, facts_of_domain
from postcopy.libvirt.look import look_at
from postcopy.libvirt.loop import in_thread
from postcopy.libvirt.options import LibvirtOptions


@pytest.fixture
async def host() -> AsyncIterator[Connection]:
    connection = await Connection.open("test:///default")
    yield connection
    await connection.close()


async def test_what_does_not_answer_is_named() -> None:
    with pytest.raises(UnavailableError, match="nowhere") as caught:
        await Connection.open("qemu+unix:///system?socket=/nowhere")
    assert "virsh -c" in caught.value.hint


async def test_a_domain_is_found_by_name_and_uuid(host: Connection) -> None:
    domain = await host.domain("test")
    assert await host.find(domain.UUIDString()) is not None
    assert await host.find("00000000-0000-4000-8000-000000000000") is None
    with pytest.raises(NotFoundError, match="no domain 'ghost'") as caught:
        await host.domain("ghost")
    assert "test" in caught.value.hint


async def test_versions_are_triples(host: Connection) -> None:
    own, hypervisor = await host.versions()
    assert own >= (9, 0, 0)
    assert len(hypervisor) == 3


async def test_lifecycle_events_reach_the_loop(host: Connection) -> None:
    domain = await host.domain("test")
    async with host.events(domain.UUIDString()) as events:
        await host.call(domain.suspend)
        event = await asyncio.wait_for(events.get(), 5)
        assert (event.kind, event.event) == ("lifecycle", libvirt.VIR_DOMAIN_EVENT_SUSPENDED)
        await host.call(domain.resume)


async def test_events_of_other_domains_are_not_heard(host: Connection) -> None:
    domain = await host.domain("test")
    async with host.events("00000000-0000-4000-8000-000000000000") as events:
        await host.call(domain.suspend)
        await host.call(domain.resume)
        await asyncio.sleep(0.2)
        assert events.empty()


async def test_a_paused_domain_and_the_same_host_are_refused(host: Connection) -> None:
    domain = await host.domain("test")
    await host.call(domain.suspend)
    try:
        facts = await facts_of_domain(host, domain)
        with pytest.raises(RefusedError, match="is paused"):
            await check(host, host, facts, LibvirtOptions())
    finally:
        await host.call(domain.resume)
    facts = await facts_of_domain(host, domain)
    assert facts.running
    again = await Connection.open("test:///default")
    with pytest.raises(PostcopyError, match="are the same host"):
        await check(host, again, facts, LibvirtOptions())
    await again.close()


async def test_looking_at_a_host(host: Connection) -> None:
    domain = await host.domain("test")
    half = await look_at(host, domain.UUIDString())
    assert half.reachable
    assert half.state == libvirt.VIR_DOMAIN_RUNNING
    assert str(await look_at(host, "00000000-0000-4000-8000-000000000000")) == "not there"
    await host.close()
    assert str(await look_at(host, domain.UUIDString())) == "no answer"


async def test_calls_do_not_wait_for_each_other() -> None:
    """A pool would run dry: each migration holds a thread for as long as it lasts."""
    barrier = asyncio.Event()
    release = asyncio.get_running_loop()

    def block() -> None:
        asyncio.run_coroutine_threadsafe(barrier.wait(), release).result(10)

    waiting = [asyncio.create_task(in_thread(block)) for _ in range(100)]
    await asyncio.sleep(0.1)
    barrier.set()
    await asyncio.wait_for(asyncio.gather(*waiting), 10)


async def test_an_error_in_a_thread_is_raised_where_it_is_awaited() -> None:
    def fail() -> None:
        raise ValueError("there")

    with pytest.raises(ValueError, match="there"):
        await in_thread(fail)


class FakeError(libvirt.libvirtError):  # type: ignore[misc]
    """An error that libvirt could have raised."""

    def __init__(self, code: int, message: str, domain: int = libvirt.VIR_FROM_QEMU) -> None:
        Exception.__init__(self, message)
        self.err = (code, domain, message, 0, "", None, None, 0, 0)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FakeError(libvirt.VIR_ERR_AUTH_FAILED, "no"), PermissionDeniedError),
        (FakeError(libvirt.VIR_ERR_NO_DOMAIN, "no domain"), NotFoundError),
        (FakeError(libvirt.VIR_ERR_OPERATION_TIMEOUT, "state change lock"), RetryableError),
        (FakeError(libvirt.VIR_ERR_INTERNAL_ERROR, "client socket is closed"), OutcomeUnknownError),
        (
            FakeError(libvirt.VIR_ERR_SYSTEM_ERROR, "reset by peer", libvirt.VIR_FROM_RPC),
            OutcomeUnknownError,
        ),
        (FakeError(libvirt.VIR_ERR_OPERATION_INVALID, "not now"), LibvirtCallError),
    ],
)
def test_errors_have_one_of_three_fates(error: FakeError, kind: type[PostcopyError]) -> None:
    told = translate(error, "qemu:///x")
    assert type(told) is kind
    assert told.message.startswith("qemu:///x: ")
