"""One cloud for all tests here: what takes longest is done once."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from postcopy.lab import names
from postcopy.lab.lab import Lab
from postcopy.lab.machine import GuestSpec
from postcopy.lab.openstack import clouds
from postcopy.lab.openstack.server import LabServer
from postcopy.lab.workload import Workload

from ..commands import data
from ..test_lab import remains

LAB = "t-cloud"
BUSY, CALM = "busy", "calm"
WORKLOADS = {
    # Rewritten whole in every pass, and too much to send within any downtime limit.
    BUSY: Workload(cold_mib=64, hot_mib=64),
    CALM: Workload(cold_mib=64, hot_mib=64, rate=500),
}
PAGES = 128 * 256
RATE = 50_000_000
"""Of the data link, bytes a second: 400 Mb/s. A pass takes seconds, which a loaded machine sees."""

_PATIENCE_SECONDS = 180.0


class Cloud:
    """A lab with a cloud, and what clients of it need."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.api: Any = clouds.connect(clouds.file_of(lab.runtime_dir))

    def boot(self, *servers: str, host: str = "alpha") -> None:
        """Start servers, side by side."""

        async def start() -> None:
            specs = (GuestSpec(name=name, workload=WORKLOADS[name]) for name in servers)
            await asyncio.gather(*(LabServer.start(self.lab, spec, host) for spec in specs))

        asyncio.run(start())

    def stop_all(self) -> None:
        """Delete every server, and see to it that nobody knows anything of them."""
        known = [LabServer.load(self.lab, name) for name in LabServer.names(self.lab)]
        for server in known:
            asyncio.run(server.stop())
        assert list(self.api.compute.servers(all_projects=True)) == []
        assert [self.hosts_in_placement(server.uuid) for server in known] == [[] for _ in known]
        assert not [one for one in self.api.image.images() if one.name.startswith("witness-")]

    def link(self, rate: int) -> None:
        """Set the data link's rate, in bytes a second."""
        asyncio.run(self.lab.link().set_rate(rate))

    def move_as_anybody(self, name: str, host: str) -> None:
        """Have Nova move a server, as any client would; return when it has begun."""
        server = self.api.compute.find_server(name, ignore_missing=False)
        body = {"os-migrateLive": {"host": host, "block_migration": "auto"}}
        answer = self.api.compute.post(
            f"/servers/{server.id}/action", json=body, microversion="2.34"
        )
        assert answer.status_code == 202, answer.text

    def memory_moves(self, name: str) -> bool:
        """Return whether Nova has figures of a migration, which are null at first."""
        server = self.api.compute.find_server(name, ignore_missing=False)
        return any(one.memory_total_bytes for one in self.api.compute.server_migrations(server.id))

    def hosts_in_placement(self, server: str) -> list[str]:
        """Return the hosts on which Placement has set something aside for a server."""
        claimed = self.api.placement.get(f"/allocations/{server}").json()["allocations"]
        known = self.api.placement.get("/resource_providers").json()["resource_providers"]
        return [one["name"] for one in known if one["uuid"] in claimed]

    def hosts_with_disk(self, name: str, directory: str) -> list[str]:
        """Return the hosts in which a server's disk is in that directory."""
        disk = f"{directory}/{LabServer.load(self.lab, name).uuid}/disk".lstrip("/")
        return [host for host in names.HOSTS if (self.lab.host(host).root_dir / disk).exists()]

    def assert_whole(self, name: str, host: str) -> None:
        """Check that Nova, libvirt and Placement agree where it is, and every page of it."""
        server = self.api.compute.find_server(name, ignore_missing=False, details=True)
        assert (server.status, server.task_state, server.compute_host) == ("ACTIVE", None, host)
        guests = data("lab", "status", "--lab", LAB)["guests"]
        assert [one["states"] for one in guests if one["name"] == name] == [{host: "running"}]
        assert self.hosts_in_placement(server.id) == [host]
        verdict = data("lab", "guest", name, "--lab", LAB, "--verify")
        assert (verdict["pages_checked"], verdict["pages_wrong"]) == (PAGES, 0)


def until(look: Callable[[], object]) -> None:
    """Return when a look shows what is waited for."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def openstack(*arguments: str, code: int = 0) -> Any:
    """Have OpenStackClient run a command, and return what it says."""
    command = Path(sys.executable).parent / "openstack"
    done = subprocess.run(
        [command, "postcopy", *arguments],
        capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout) if "json" in arguments else done.stdout


@pytest.fixture(scope="package")
def cloud() -> Iterator[Cloud]:
    """A cloud, to which the environment leads; the first time, its hosts' root is made."""
    lab = Lab(LAB)
    asyncio.run(lab.down())
    try:
        asyncio.run(lab.up(rate=RATE, openstack=True))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OS_CLIENT_CONFIG_FILE", str(clouds.file_of(lab.runtime_dir)))
            patch.setenv("OS_CLOUD", clouds.CLOUD)
            yield Cloud(lab)
    finally:
        asyncio.run(lab.down())
    assert remains(lab) == []
