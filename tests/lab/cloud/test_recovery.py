"""Servers whose link breaks in post-copy: recovered beneath Nova, and Nova knows where they are."""

import asyncio
import subprocess
import time
from collections.abc import Iterator

import pytest

from postcopy.lab.openstack import service, services
from postcopy.migration import Phase

from ..commands import data, postcopy, spawn
from .conftest import BUSY, LAB, RATE, Cloud, until

pytestmark = [pytest.mark.lab, pytest.mark.cloud, pytest.mark.timeout(1200)]

SLOW = 15_000_000
"""Bytes a second: post-copy lasts for some seconds."""
CUT_AFTER_SECONDS = 1.0
"""By then the destination's QEMU has taken the guest over, and answers."""

LONG_SECONDS = 5.0
"""A shorter cut may be over before a busy machine has noticed it."""


@pytest.fixture(scope="module")
def server(cloud: Cloud) -> Iterator[Cloud]:
    """The busy server on alpha; one test moves it on from where the other has moved it."""
    cloud.boot(BUSY)
    cloud.link(SLOW)
    yield cloud
    asyncio.run(cloud.lab.link().up())
    cloud.link(RATE)
    cloud.stop_all()


def cut_in_postcopy(cloud: Cloud, process: subprocess.Popen[str], how: str) -> None:
    """Break the link of a migration that has just gone over to post-copy."""
    assert process.stderr is not None
    assert any(f"-> {Phase.POSTCOPY}" in line for line in process.stderr)
    time.sleep(CUT_AFTER_SECONDS)
    asyncio.run(getattr(cloud.lab.link(), how)())


def restart_compute(cloud: Cloud, host: str) -> None:
    """Have a compute host's nova-compute die, and be started again, as systemd would."""
    there, one = cloud.lab.host(host), services.computes()[host]
    number = service.pid(there, one)
    asyncio.run(there.run("kill", "-9", str(number)))
    until(lambda: service.pid(there, one) is None)  # one still dying would not be started again
    asyncio.run(service.start(there, one))
    server = cloud.api.compute.find_server(BUSY, ignore_missing=False)
    until(lambda: cloud.api.compute.get_server(server.id).task_state is None)


def test_a_cut_is_ridden_out_and_nova_finishes(server: Cloud) -> None:
    """Nova's guests have no second monitor, and the hosts' libvirt 11.3 cannot resume."""
    with spawn("migrate", BUSY, "beta", "--lab", LAB, "--policy", "immediate") as process:
        cut_in_postcopy(server, process, "drop")
        time.sleep(LONG_SECONDS)
        asyncio.run(server.lab.link().up())
        out, err = process.communicate(timeout=180)
    assert process.returncode == 0, f"{out}{err}"
    assert "recovery: recovered" in err
    (run,) = data("history", BUSY)
    assert (run["outcome"]["fate"], run["outcome"]["recoveries"]) == ("completed", 1)
    server.assert_whole(BUSY, "beta")


def test_records_that_a_restart_of_nova_compute_left_wrong_are_mended(server: Cloud) -> None:
    move = ("migrate", BUSY, "alpha", "--lab", LAB, "--policy", "immediate", "--no-recover")
    with spawn(*move) as process:
        cut_in_postcopy(server, process, "reset")
        _, err = process.communicate(timeout=60)
    assert (process.returncode, "postcopy recover busy" in err) == (1, True)
    restart_compute(server, "beta")
    seen = data("recover", BUSY, "--lab", LAB, "--dry-run")
    assert "source paused, destination paused" in seen["seen"]

    told = data("recover", BUSY, "--lab", LAB, code=1)
    assert (told["fate"], told["recoveries"]) == ("astray", 1)
    assert [one["record"].rstrip("0123456789 ") for one in told["records"]] == [
        "host of the server", "node of the server", "status of migration",
        "allocations of migration",
    ]  # fmt: skip
    assert postcopy("lab", "guest", BUSY, "--lab", LAB, "--verify").returncode == 0

    repair = ("--repair-records", "--nova-database", "controller")
    told = data("recover", BUSY, "--lab", LAB, *repair)
    assert told["fate"] == "completed"
    assert all(one["mended"] for one in told["records"])
    server.assert_whole(BUSY, "alpha")
