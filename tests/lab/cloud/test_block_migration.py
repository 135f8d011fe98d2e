"""Servers whose disks go along, moved through Nova's API as any operator would move them."""

from collections.abc import Iterator

import pytest

from postcopy.lab.openstack.config import INSTANCES

from ..commands import data, postcopy, spawn
from .conftest import BUSY, CALM, LAB, RATE, Cloud, openstack, until

pytestmark = [pytest.mark.lab, pytest.mark.cloud, pytest.mark.timeout(1200)]

SLOW = 2_500_000
"""Bytes a second: nothing ends in time."""


@pytest.fixture(scope="module")
def servers(cloud: Cloud) -> Iterator[Cloud]:
    """Both servers on alpha, each of which one test moves away."""
    cloud.boot(BUSY, CALM)
    yield cloud
    cloud.stop_all()


def test_a_busy_server_moves_by_post_copy_and_outlives_who_began_it(servers: Cloud) -> None:
    with spawn("migrate", BUSY, "beta", "--lab", LAB) as first:
        assert first.stderr is not None
        assert any("setup -> precopy" in line for line in first.stderr)
        first.kill()
    outcome = data("attach", BUSY)
    assert (outcome["fate"], outcome["policy"]) == ("completed", "adaptive")
    assert outcome["switched_at"] is not None
    assert outcome["figures"]["postcopy_requests"] > 0  # QEMU's own word for it
    servers.assert_whole(BUSY, "beta")
    assert servers.hosts_with_disk(BUSY, INSTANCES) == ["beta"]
    (run,) = data("history", BUSY)
    assert (run["destination"], run["outcome"]["fate"]) == ("beta", "completed")


def test_what_another_client_has_begun_is_shown_and_called_off(servers: Cloud) -> None:
    servers.link(SLOW)
    try:
        servers.move_as_anybody(CALM, "beta")
        until(lambda: servers.memory_moves(CALM))
        told = openstack("show", CALM, "-f", "json")
        assert (told["phase"], told["destination"]) == ("precopy", "beta")
        assert 0 < told["remaining_bytes"] <= told["memory_bytes"]
        (shown,) = openstack("list", "-f", "json")
        assert (shown["Status"], shown["Source"], shown["Destination"]) == (
            "running", "alpha", "beta",
        )  # fmt: skip
        assert "cancelled" in openstack("cancel", CALM)
    finally:
        servers.link(RATE)
    servers.assert_whole(CALM, "alpha")
    assert servers.hosts_with_disk(CALM, INSTANCES) == ["alpha"]


def test_a_calm_server_ends_in_pre_copy(servers: Cloud) -> None:
    outcome = data("migrate", CALM, "beta", "--lab", LAB)
    assert (outcome["fate"], outcome["switched_at"]) == ("completed", None)
    assert outcome["figures"]["downtime_seconds"] < 1
    servers.assert_whole(CALM, "beta")


def test_a_switch_that_may_pause_is_refused(servers: Cloud) -> None:
    told = postcopy("migrate", BUSY, "--dry-run", code=65)
    assert f"may pause server '{BUSY}'" in told.stderr


def test_disks_are_not_left_behind(servers: Cloud) -> None:
    told = postcopy("lab", "up", "--openstack", "--instances", "shared", "--lab", LAB, code=65)
    assert BUSY in told.stderr
