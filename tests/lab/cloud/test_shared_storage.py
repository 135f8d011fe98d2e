"""A server whose disk both hosts see; and a Nova that acts by itself."""

import asyncio
from collections.abc import Iterator

import pytest

from postcopy.lab.lab import DEFAULT_RATE
from postcopy.lab.openstack.config import SHARED_INSTANCES

from ..commands import data
from .conftest import BUSY, LAB, RATE, Cloud, openstack

pytestmark = [pytest.mark.lab, pytest.mark.cloud, pytest.mark.timeout(1200)]

IMPATIENT = {"live_migration_completion_timeout": "4"}
"""Seconds a GiB, of which a small guest counts for two."""


@pytest.fixture(scope="module")
def shared(cloud: Cloud) -> Iterator[Cloud]:
    """The busy server on alpha, on shared storage."""
    asyncio.run(cloud.lab.up(openstack=True, shared=True, nova=IMPATIENT))
    cloud.boot(BUSY)
    yield cloud
    cloud.stop_all()


def test_novas_own_switch_is_followed_and_not_fought(shared: Cloud) -> None:
    """On Nova's word alone: no libvirt is asked, and its scheduler chooses the host."""
    told = openstack("migrate", BUSY, "--policy", "precopy", "-f", "json")
    assert (told["fate"], told["destination"], told["switched_at"]) == ("completed", "beta", None)
    events = data("history", "--run", str(told["run"]))["events"]
    notes = [event["text"] for event in events if event["kind"] == "Noted"]
    assert any("gone over to post-copy by itself" in note for note in notes)
    shared.assert_whole(BUSY, "beta")


def test_a_busy_server_moves_by_post_copy_before_nova_would_act(shared: Cloud) -> None:
    shared.link(DEFAULT_RATE)
    try:
        outcome = data("migrate", BUSY, "alpha", "--lab", LAB)
    finally:
        shared.link(RATE)
    assert outcome["fate"] == "completed"
    assert outcome["switched_at"] is not None
    assert outcome["figures"]["postcopy_requests"] > 0
    shared.assert_whole(BUSY, "alpha")
    assert shared.hosts_with_disk(BUSY, SHARED_INSTANCES) == ["alpha", "beta"]
