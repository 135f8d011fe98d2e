"""The rescue of a server's domain, as far as libvirt's test driver goes."""

from collections.abc import AsyncIterator

import libvirt
import pytest

from postcopy.errors import NotFoundError
from postcopy.libvirt.connection import Connection
from postcopy.libvirt.look import Half as Seen
from postcopy.libvirt.ways import Ways
from postcopy.migration.recovery import Half
from postcopy.nova.rescue import ServerRescue

URI = "test:///default"
PAUSED = (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED)
ARRIVED = (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_MIGRATED)


@pytest.fixture
async def rescue() -> AsyncIterator[ServerRescue]:
    connection = await Connection.open(URI)
    uuid = (await connection.domain("test")).UUIDString()
    await connection.close()
    made = ServerRescue(uuid, (URI, URI), Ways())
    await made.open(fresh=True)
    yield made
    await made.close()


def say(
    rescue: ServerRescue,
    monkeypatch: pytest.MonkeyPatch,
    source: tuple[int, int] | None,
    destination: tuple[int, int],
) -> None:
    """Have both libvirts say something of the domain."""

    async def halves(uuid: str) -> tuple[Seen, Seen]:
        here = Seen(True, *source) if source is not None else Seen(True)
        return here, Seen(True, *destination)

    monkeypatch.setattr(rescue._own, "halves", halves)


async def test_one_that_has_arrived_is_novas_to_find(
    rescue: ServerRescue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the core, a source that is gone would be the end."""
    say(rescue, monkeypatch, None, ARRIVED)
    look = await rescue.look()
    assert (look.source, look.destination) == (Half.DONE, Half.DONE)


async def test_a_source_that_does_not_know_that_it_has_arrived_is_ended(
    rescue: ServerRescue, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(rescue, monkeypatch, PAUSED, ARRIVED)
    look = await rescue.look()
    assert (look.source, look.destination) == (Half.DONE, Half.DONE)
    domain = await rescue._own.source.find(rescue._server)
    assert domain is not None
    assert not domain.isActive()


@pytest.mark.parametrize("reason", [libvirt.VIR_DOMAIN_RUNNING_UNKNOWN, 99])
async def test_what_is_not_known_to_have_arrived_ends_no_source(
    rescue: ServerRescue, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    """Such as what a libvirt says that was started again in the middle."""
    say(rescue, monkeypatch, PAUSED, (libvirt.VIR_DOMAIN_RUNNING, reason))
    look = await rescue.look()
    assert (look.source, look.destination) == (Half.PAUSED, Half.UNKNOWN)
    domain = await rescue._own.source.find(rescue._server)
    assert domain is not None
    assert domain.isActive()


async def test_a_domain_that_has_left_is_not_resumed(rescue: ServerRescue) -> None:
    rescue._server = "00000000-0000-4000-8000-000000000000"
    with pytest.raises(NotFoundError, match="any more"):
        await rescue._resume_by_libvirt()
