"""The cloud in the lab: Debian's OpenStack comes up, moves a witness, and leaves nothing behind.

The first time this makes the root of a cloud's hosts (two to three minutes) and its databases.
"""

import asyncio
import os
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from postcopy.lab.lab import DEFAULT_RATE, Lab
from postcopy.lab.openstack import clouds
from postcopy.lab.openstack.server import LabServer

from .commands import data, postcopy, spawn
from .test_lab import remains

pytestmark = [pytest.mark.lab, pytest.mark.cloud, pytest.mark.timeout(1200)]

SERVER = "witness"
COLD_MIB, HOT_MIB = 32, 32
PAGES = (COLD_MIB + HOT_MIB) * 256
MEMORY = ("--cold", str(COLD_MIB), "--hot", str(HOT_MIB))
SLOW = DEFAULT_RATE // 10
"""Of the data link, in bytes a second: what is rewritten meanwhile never fits into a freeze."""

MOVED_SECONDS = 240
"""Far more than it takes, for machines that are busy with other things."""


class Cloud:
    """A lab with a cloud, and what a client of it needs."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.api: Any = clouds.connect(clouds.file_of(lab.runtime_dir))

    def postcopy(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run `postcopy lab` with something for this lab."""
        return postcopy("lab", *arguments, "--lab", self.lab.name, code=code)

    def boot(self, host: str, *more: str) -> None:
        self.postcopy("guest", SERVER, "--server", "--host", host, *MEMORY, *more)

    def server(self) -> Any:
        return self.api.compute.find_server(SERVER, ignore_missing=False, details=True)

    def move(self, destination: str) -> float:
        """Move the server in pre-copy and return the longest freeze in seconds."""
        server = self.server()
        started = time.time()
        self.start(server, destination)
        until(lambda: self.server().task_state is None)
        return LabServer.load(self.lab, SERVER).observe(started, time.time()).longest_freeze_seconds

    def move_by_postcopy(self, destination: str) -> None:
        """Move the server, slowly at first and then by post-copy, which libvirt must speak of."""
        server = self.server()
        link = self.lab.link()
        source = self.lab.host(server.compute_host)
        asyncio.run(link.set_rate(SLOW))
        self.start(server, destination)
        until(lambda: self.processed(server) > 0)
        (migration,) = self.api.compute.server_migrations(server.id)
        path = f"/servers/{server.id}/migrations/{migration.id}/action"
        self.act(path, {"force_complete": None}, "2.22")

        def switched() -> bool:
            asked = asyncio.run(source.run("virsh", "domstate", "--reason", server.id))
            return asked.stdout.strip() == "paused (post-copy)"

        until(switched)
        asyncio.run(link.set_rate(DEFAULT_RATE))
        until(lambda: self.server().task_state is None)

    def start(self, server: Any, destination: str) -> None:
        body = {"os-migrateLive": {"host": destination, "block_migration": "auto"}}
        self.act(f"/servers/{server.id}/action", body, "2.34")

    def act(self, path: str, body: dict[str, Any], microversion: str) -> None:
        answer = self.api.compute.post(path, json=body, microversion=microversion)
        assert answer.status_code == 202, answer.text

    def processed(self, server: Any) -> int:
        found = list(self.api.compute.server_migrations(server.id))
        return (found[0].memory_processed_bytes or 0) if found else 0

    def providers(self, server: Any) -> list[str]:
        """Return the hosts on which Placement has set something aside for a server."""
        claimed = self.api.placement.get(f"/allocations/{server.id}").json()["allocations"]
        known = self.api.placement.get("/resource_providers").json()["resource_providers"]
        return [provider["name"] for provider in known if provider["uuid"] in claimed]

    def assert_whole(self, host: str) -> None:
        """Check that Nova, libvirt and Placement agree on where it is, and its memory is right."""
        server = self.server()
        assert (server.status, server.compute_host) == ("ACTIVE", host)
        assert self.providers(server) == [host]
        (shown,) = data("lab", "status", "--lab", self.lab.name)["guests"]
        assert (shown["kind"], shown["states"]) == ("server", {host: "running"})
        verdict = data("lab", "guest", SERVER, "--lab", self.lab.name, "--verify")
        assert (verdict["pages_checked"], verdict["pages_wrong"]) == (PAGES, 0)

    def disks(self, path: str) -> list[str]:
        """Return the hosts in which the server's disk is in that directory."""
        disk = f"{path}/{self.server().id}/disk".lstrip("/")
        return [
            host for host in ("alpha", "beta") if (self.lab.host(host).root_dir / disk).exists()
        ]

    def assert_forgotten(self, server: Any) -> None:
        """Check that neither Nova nor Glance nor Placement knows anything of a stopped server."""
        assert list(self.api.compute.servers(all_projects=True)) == []
        assert list(self.api.image.images(name=f"witness-{SERVER}")) == []
        assert self.providers(server) == []


def until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + MOVED_SECONDS
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def new_lab(word: str) -> Lab:
    return Lab(f"t-{word}-{os.getpid()}")


def test_killed_on_the_way_up_leaves_nothing() -> None:
    victim = new_lab("victim")
    try:
        with spawn("lab", "up", "--openstack", "--lab", victim.name) as process:
            assert process.stderr is not None
            assert any("starting the APIs" in line for line in process.stderr)
            process.kill()
    finally:
        asyncio.run(victim.down())
    assert remains(victim) == []


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """A cloud for all tests here; what it was like on the way down is looked at, too."""
    lab = new_lab("cloud")
    try:
        asyncio.run(lab.up(openstack=True))
        yield Cloud(lab)
    finally:
        asyncio.run(lab.down())
    assert remains(lab) == []


@pytest.fixture
def instances(cloud: Cloud) -> Iterator[Cloud]:
    """The cloud, and no server of ours in it afterwards."""
    yield cloud
    asyncio.run(cloud.lab.link().set_rate(DEFAULT_RATE))
    if SERVER in LabServer.names(cloud.lab):
        cloud.postcopy("guest", SERVER, "--stop")


def test_the_cloud_is_one_to_its_clients(cloud: Cloud) -> None:
    status = data("lab", "status", "--lab", cloud.lab.name)
    assert [host["name"] for host in status["hosts"]] == ["alpha", "beta", "controller"]
    assert all(status["cloud"]["services"].values())
    file = Path(status["cloud"]["clouds_file"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    listed = cloud.postcopy("exec", "controller", "openstack", "hypervisor", "list", "-f", "value")
    assert {line.split()[1] for line in listed.stdout.splitlines()} == {"alpha", "beta"}
    links = cloud.postcopy("exec", "controller", "ls", "/sys/class/net").stdout.split()
    assert links == ["control", "lo"]
    told = cloud.postcopy("guest", "lost", "--host", "controller", code=66)
    assert "choose alpha or beta" in told.stderr


def test_block_migration_and_then_shared_storage(instances: Cloud) -> None:
    """A calm server moves in pre-copy with its disk; a busy one by post-copy without."""
    instances.boot("alpha", "--rate", "1000")
    assert instances.move("beta") < 10
    instances.assert_whole("beta")
    assert instances.disks("/var/lib/nova/instances") == ["beta"]

    kept = instances.postcopy("up", "--openstack", "--instances", "shared", code=65)
    assert SERVER in kept.stderr
    calm = instances.server()
    instances.postcopy("guest", SERVER, "--stop")
    instances.assert_forgotten(calm)

    instances.postcopy("up", "--openstack", "--instances", "shared")
    instances.boot("beta")
    assert instances.disks("/mnt/shared/instances") == ["alpha", "beta"]
    instances.move_by_postcopy("alpha")
    instances.assert_whole("alpha")
    assert instances.disks("/mnt/shared/instances") == ["alpha", "beta"]


@pytest.mark.parametrize("kind", ["bare", "domain"])
def test_guests_that_nova_does_not_know_are_at_home_beside_it(cloud: Cloud, kind: str) -> None:
    bare = ["--bare"] if kind == "bare" else []
    cloud.postcopy("guest", kind, *bare, "--cold", "8", "--hot", "8")
    (shown,) = data("lab", "status", "--lab", cloud.lab.name)["guests"]
    assert (shown["kind"], shown["states"]) == (kind, {"alpha": "running"})
    verdict = data("lab", "guest", kind, "--lab", cloud.lab.name, "--verify")
    assert (verdict["pages_checked"], verdict["pages_wrong"]) == (16 * 256, 0)
    cloud.postcopy("guest", kind, "--stop")
    assert data("lab", "status", "--lab", cloud.lab.name)["guests"] == []


def test_up_again_starts_what_has_died(cloud: Cloud) -> None:
    cloud.postcopy("exec", "controller", "pkill", "-9", "nova-scheduler")
    services = data("lab", "status", "--lab", cloud.lab.name)["cloud"]["services"]
    assert [name for name, runs in services.items() if not runs] == ["controller/nova-scheduler"]
    cloud.postcopy("up", "--openstack")
    services = data("lab", "status", "--lab", cloud.lab.name)["cloud"]["services"]
    assert all(services.values())


def test_a_lab_without_a_cloud_has_no_controller() -> None:
    plain = new_lab("plain")
    asyncio.run(plain.up())
    try:
        for arguments in (("exec", "controller", "true"), ("guest", SERVER, "--server")):
            told = postcopy("lab", *arguments, "--lab", plain.name, code=66)
            assert "--openstack" in told.stderr
        told = postcopy("lab", "up", "--openstack", "--lab", plain.name, code=65)
        assert "without a cloud" in told.stderr
    finally:
        asyncio.run(plain.down())
