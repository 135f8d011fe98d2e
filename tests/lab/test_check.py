"""`postcopy check` on the lab's hosts, whole and broken."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from postcopy.lab.lab import Lab

from .commands import data, postcopy

pytestmark = pytest.mark.lab

CONF = "/etc/libvirt/qemu.conf"


def check(lab: Lab, *more: str, code: int = 0) -> dict[tuple[str, str], Any]:
    """Check both hosts and return the findings."""
    told = data("check", "alpha", "beta", "--lab", lab.name, *more, code=code)
    return {(found["id"], found["subject"]): found for found in told["findings"]}


@pytest.fixture
def run_as_nobody(moves_lab: Lab) -> Iterator[Lab]:
    """The lab, with a libvirt on beta that is told to run QEMU as nobody."""
    beta = moves_lab.host("beta")
    path = beta.root_dir / CONF.lstrip("/")
    before = path.read_text()
    path.write_text(before.replace('user = "root"', 'user = "nobody"'))
    yield moves_lab
    path.write_text(before)
    asyncio.run(beta.run("chmod", "600", "/dev/userfaultfd"))


def test_the_labs_hosts_prove_that_they_are_ready(moves_lab: Lab) -> None:
    found = check(moves_lab, "--skip", "kernel.memory.*", code=1)
    assert not [one for one in found.values() if one["verdict"] == "fail"]
    for host in ("alpha", "beta"):
        assert found["kernel.userfaultfd.missing", host]["verdict"] == "pass"
        assert found["qemu.postcopy.accepted", host]["verdict"] == "pass"
        assert found["qemu.postcopy.works", host]["verdict"] == "pass"
    assert found["host.distinct", "alpha -> beta"]["verdict"] == "pass"
    assert found["qemu.pair.version", "beta -> alpha"]["verdict"] == "pass"


def test_a_user_who_may_not_is_found_by_trying_and_one_who_may_too(run_as_nobody: Lab) -> None:
    wanted = ("--only", "kernel.userfaultfd.*", "--only", "qemu.postcopy.*")
    found = check(run_as_nobody, *wanted, code=2)
    wrong = [key for key, one in found.items() if one["verdict"] == "fail"]
    assert wrong == [("kernel.userfaultfd.permitted", "beta")]
    assert "as nobody" in found[wrong[0]]["saw"]
    asyncio.run(run_as_nobody.host("beta").run("chmod", "666", "/dev/userfaultfd"))
    found = check(run_as_nobody, *wanted, code=1)
    assert found["kernel.userfaultfd.permitted", "beta"]["verdict"] == "pass"
    assert found["qemu.postcopy.works", "beta"]["verdict"] == "pass"
    # It was done by hand, and is gone after a boot.
    assert found["kernel.userfaultfd.persistent", "beta"]["verdict"] == "warn"


def test_a_host_without_qemu_is_told_of_once(moves_lab: Lab) -> None:
    binary = moves_lab.host("beta").root_dir / "usr/bin/qemu-system-x86_64"
    binary.rename(binary.with_suffix(".away"))
    try:
        found = check(moves_lab, "--only", "qemu.*", code=2)
    finally:
        binary.with_suffix(".away").rename(binary)
    assert [key for key, one in found.items() if one["verdict"] == "fail"] == [
        ("qemu.installed", "beta")
    ]


def test_nothing_is_left_behind(moves_lab: Lab) -> None:
    postcopy("check", "alpha", "--lab", moves_lab.name, code=1)
    alpha = moves_lab.host("alpha")
    assert not list((alpha.root_dir / "tmp").glob("postcopy-*"))
    assert "-machine none" not in asyncio.run(alpha.run("ps", "-eo", "args")).stdout
