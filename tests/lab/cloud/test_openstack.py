"""The cloud itself: what it is to its clients, what comes up again, and what remains of it."""

import asyncio
import stat
from pathlib import Path

import pytest

from postcopy.lab.lab import Lab

from ..commands import data, postcopy, spawn
from ..test_lab import remains
from .conftest import LAB, Cloud

pytestmark = [pytest.mark.lab, pytest.mark.cloud, pytest.mark.timeout(1200)]


def test_it_is_a_cloud_to_its_clients(cloud: Cloud) -> None:
    status = data("lab", "status", "--lab", LAB)
    assert [host["name"] for host in status["hosts"]] == ["alpha", "beta", "controller"]
    assert all(status["cloud"]["services"].values())
    file = Path(status["cloud"]["clouds_file"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    inside = ("lab", "exec", "--lab", LAB, "controller")
    listed = postcopy(*inside, "openstack", "hypervisor", "list", "-f", "value").stdout
    assert {line.split()[1] for line in listed.splitlines()} == {"alpha", "beta"}
    links = postcopy(*inside, "ls", "/sys/class/net").stdout.split()
    assert links == ["control", "lo"]
    told = postcopy("lab", "guest", "lost", "--host", "controller", "--lab", LAB, code=66)
    assert "choose alpha or beta" in told.stderr


def test_a_domain_that_nova_does_not_know_is_at_home_beside_it(cloud: Cloud) -> None:
    postcopy("lab", "guest", "domain", "--cold", "8", "--hot", "8", "--lab", LAB)
    (shown,) = data("lab", "status", "--lab", LAB)["guests"]
    assert (shown["kind"], shown["states"]) == ("domain", {"alpha": "running"})
    verdict = data("lab", "guest", "domain", "--lab", LAB, "--verify")
    assert (verdict["pages_checked"], verdict["pages_wrong"]) == (16 * 256, 0)
    postcopy("lab", "guest", "domain", "--stop", "--lab", LAB)
    assert data("lab", "status", "--lab", LAB)["guests"] == []


def test_up_again_starts_what_has_died(cloud: Cloud) -> None:
    postcopy("lab", "exec", "--lab", LAB, "controller", "pkill", "-9", "nova-scheduler")
    services = data("lab", "status", "--lab", LAB)["cloud"]["services"]
    assert [name for name, runs in services.items() if not runs] == ["controller/nova-scheduler"]
    postcopy("lab", "up", "--openstack", "--lab", LAB)
    services = data("lab", "status", "--lab", LAB)["cloud"]["services"]
    assert all(services.values())


def test_its_nova_passes_every_check(cloud: Cloud) -> None:
    """Also when `lab up` has looked after it: no nova-compute is older than what it has read."""
    postcopy("lab", "up", "--openstack", "--lab", LAB)
    found = data("check", "alpha", "beta", "--lab", LAB, "--only", "nova.*")
    verdicts = {one["id"]: one["verdict"] for one in found["findings"]}
    assert set(verdicts.values()) <= {"pass", "skip"}, verdicts
    assert verdicts["nova.postcopy.permitted"] == "pass"


def test_killed_on_the_way_up_leaves_nothing(cloud: Cloud) -> None:
    victim = Lab("t-victim")
    try:
        with spawn("lab", "up", "--openstack", "--lab", victim.name) as process:
            assert process.stderr is not None
            assert any("starting the APIs" in line for line in process.stderr)
            process.kill()
    finally:
        asyncio.run(victim.down())
    assert remains(victim) == []


def test_a_lab_without_a_cloud_has_no_controller(moves_lab: Lab) -> None:
    for arguments in (("exec", "controller", "true"), ("guest", "web1", "--server")):
        told = postcopy("lab", *arguments, "--lab", moves_lab.name, code=66)
        assert "--openstack" in told.stderr
    told = postcopy("lab", "up", "--openstack", "--lab", moves_lab.name, code=65)
    assert "without a cloud" in told.stderr
