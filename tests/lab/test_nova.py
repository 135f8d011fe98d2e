"""Servers of the lab's cloud, moved through Nova's API as any operator would move them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .commands import data, postcopy

pytestmark = [pytest.mark.lab, pytest.mark.cloud, pytest.mark.timeout(1200)]

LAB = "t-nova"
SERVER = "busy"
PAGES = (64 + 64) * 256
_UP_SECONDS = 900
"""The first time, the root of a cloud's hosts and its databases are made."""


@dataclass(frozen=True)
class Cloud:
    """A cloud that is up, told to commands by their environment."""

    runtime_dir: Path

    @property
    def libvirt(self) -> str:
        """What ``--source-uri`` takes."""
        return f"qemu+unix:///system?socket={self.runtime_dir}/{{host}}/libvirt/libvirt-sock"

    def boot(self, *more: str, host: str = "alpha") -> None:
        sizes = ("--cold", "64", "--hot", "64")
        postcopy("lab", "guest", SERVER, "--server", "--host", host, *sizes, *more, "--lab", LAB)

    def link(self, rate: str) -> None:
        postcopy("lab", "link", "--rate", rate, "--lab", LAB)

    def openstack(self, *arguments: str) -> Any:
        """Ask OpenStackClient."""
        command = Path(sys.executable).parent / "openstack"
        done = subprocess.run(
            [command, *arguments, "-f", "json"],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)

    def assert_whole(self, host: str) -> None:
        """Check that Nova, libvirt and Placement agree, and that no page of its memory is wrong."""
        server = self.openstack("server", "show", SERVER)
        assert (server["status"], server["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", host)
        (shown,) = data("lab", "status", "--lab", LAB)["guests"]
        assert shown["states"] == {host: "running"}
        assert allocated_on(server["id"]) == [host]
        verdict = data("lab", "guest", SERVER, "--lab", LAB, "--verify")
        assert (verdict["pages_checked"], verdict["pages_wrong"]) == (PAGES, 0)


def allocated_on(server: str) -> list[str]:
    """Return the hosts on which Placement keeps room for a server."""
    from openstack import connect

    placement = connect().placement
    claimed = placement.get(f"/allocations/{server}").json()["allocations"]
    known = placement.get("/resource_providers").json()["resource_providers"]
    return [one["name"] for one in known if one["uuid"] in claimed]


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """A cloud for all tests here."""
    command = [sys.executable, "-m", "postcopy", "lab"]
    subprocess.run([*command, "up", "--openstack", "--lab", LAB], check=True, timeout=_UP_SECONDS)
    try:
        (file,) = Path("/run/postcopy/lab").glob(f"{LAB}/clouds.yaml")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
            patch.setenv("OS_CLOUD", "postcopy-lab")
            made = Cloud(file.parent)
            made.link("400mbit")
            yield made
    finally:
        subprocess.run([*command, "down", "--lab", LAB], check=True, timeout=120)


@pytest.fixture
def empty(cloud: Cloud) -> Iterator[Cloud]:
    """The cloud, and no server in it afterwards."""
    yield cloud
    postcopy("lab", "guest", SERVER, "--stop", "--lab", LAB)


def test_a_busy_server_moves_by_post_copy_and_back_unproven(empty: Cloud) -> None:
    """With block migration: once with libvirt's proof, and back on Nova's word alone."""
    empty.boot()
    move = ("migrate", SERVER, "--postcopy-permitted")
    outcome = data(*move, "beta", "--source-uri", empty.libvirt)
    assert outcome["fate"] == "completed"
    assert outcome["switched_at"] is not None
    assert outcome["figures"]["postcopy_requests"] > 0
    empty.assert_whole("beta")

    outcome = data(*move)  # the scheduler has one choice
    assert (outcome["fate"], outcome["destination"]) == ("completed", "alpha")
    assert outcome["switched_at"] is not None
    empty.assert_whole("alpha")


def test_a_calm_server_ends_in_pre_copy_and_an_abort_leaves_it(empty: Cloud) -> None:
    empty.boot("--rate", "500")
    outcome = data("migrate", SERVER, "beta", "--policy", "precopy", "--source-uri", empty.libvirt)
    assert (outcome["fate"], outcome["switched_at"]) == ("completed", None)
    empty.assert_whole("beta")

    empty.link("20mbit")
    command = [sys.executable, "-m", "postcopy"]
    moving = subprocess.Popen(
        [*command, "migrate", SERVER, "alpha", "--policy", "precopy"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert moving.stderr is not None
        assert any("setup -> precopy" in line for line in moving.stderr)
        postcopy("cancel", SERVER)
        moving.communicate(timeout=60)
        assert moving.returncode == 1
    finally:
        moving.kill()
        moving.wait()
        empty.link("400mbit")
    assert data("history", SERVER)[0]["outcome"]["fate"] == "cancelled"
    empty.assert_whole("beta")


def test_a_switch_that_may_pause_is_refused(empty: Cloud) -> None:
    empty.boot()
    told = postcopy("migrate", SERVER, "beta", "--dry-run", code=65)
    assert "may pause server" in told.stderr
    empty.assert_whole("alpha")


def test_shared_storage(cloud: Cloud) -> None:
    postcopy("lab", "up", "--openstack", "--instances", "shared", "--lab", LAB)
    cloud.boot()
    try:
        outcome = data("migrate", SERVER, "beta", "--postcopy-permitted", "--source-uri",
                       cloud.libvirt)  # fmt: skip
        assert outcome["fate"] == "completed"
        assert outcome["switched_at"] is not None
        cloud.assert_whole("beta")
    finally:
        postcopy("lab", "guest", SERVER, "--stop", "--lab", LAB)
