"""A benchmark, small: stopped in its middle, gone on with, and shown; and real servers in it."""

import contextlib
import signal
from pathlib import Path

import pytest

from postcopy.bench import stand
from postcopy.bench.execute import execute
from postcopy.bench.load.protocols import CLIENTS
from postcopy.bench.method import Method
from postcopy.bench.scenario import Scenario
from postcopy.bench.stand import GUEST
from postcopy.lab.domain import LabDomain
from postcopy.lab.guest import LabGuest
from postcopy.lab.services.network import guest_address
from postcopy.lab.services.service import SERVICES
from postcopy.migration.journal import Journal
from postcopy.migration.outcome import Fate

from .commands import data, spawn
from .conftest import LAB, RATE, Bench

pytestmark = pytest.mark.lab

SUITE = """
about: two small guests
repeats: 1
defaults: {memory: 32MiB, link: 1gbit}
scenarios:
  - {workload: hot, vcpus: 2, methods: [adaptive, "moment:passes=1"]}
  - {workload: reader, floor: libvirt, methods: ["virsh:postcopy-after-precopy"]}
"""


def test_a_suite_that_was_interrupted_goes_on_where_it_was(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "mini.yaml").write_text(SUITE)
    command = ("bench", "run", str(tmp_path / "mini.yaml"), "--lab", LAB)

    for at, how in (("[0/3]", signal.SIGINT), ("[1/3]", signal.SIGTERM)):
        going = spawn(*command)
        assert going.stderr is not None
        for line in going.stderr:
            if at in line:
                going.send_signal(how)
                break
        going.communicate(timeout=60)
        assert going.returncode == 130
    assert GUEST not in (*LabGuest.names(bench.lab), *LabDomain.names(bench.lab))
    plan = data(*command, "--dry-run")
    assert (plan["done"], len(plan["runs"])) == (1, 2)

    found = data(*command)

    hot, reader = found["scenarios"]
    assert [row["method"] for row in hot["methods"]] == ["adaptive", "moment:passes=1"]
    assert hot["oracle"] == "moment:passes=1"
    [virsh] = reader["methods"]
    for row in (*hot["methods"], virsh):
        assert (row["runs"], row["failed"], row["wrong"]) == (1, 0, 0)
        assert 0 < row["freeze"]["median"] < row["total"]["median"]
    assert Path(found["page"]).is_file()
    assert Path(found["picture"]).read_bytes().startswith(b"\x89PNG")
    # The lab is as it was, and nothing is measured twice.
    assert data("lab", "link", "--lab", LAB)["rate"] == RATE
    assert data(*command)["scenarios"] == found["scenarios"]


@pytest.mark.parametrize(("workload", "floor"), [("redis", "qemu"), ("postgresql", "libvirt")])
async def test_a_server_is_moved_under_load_and_no_write_is_lost(
    workload: str, floor: str, bench: Bench, tmp_path: Path
) -> None:
    scenario = Scenario(workload=workload, floor=floor, memory_bytes=32 << 20, link=RATE)
    standing = await stand.boot(bench.lab, scenario)
    try:
        assert standing.load is not None
        with Journal(tmp_path / "journal") as journal:
            # Half of its memory is still at the source when it goes on at the destination.
            method = Method.parse("moment:sent=0.5")
            run = await execute(standing, scenario, method, 0, journal, patience=60)
        arrived = await standing.guest.where()
        await standing.close()
        answers = await standing.load.answers()
        reader = CLIENTS[workload](scenario.memory_bytes, number=0, users=1)
        await reader.open(guest_address(bench.lab), SERVICES[workload].port)
        with contextlib.closing(reader):
            held = await reader.held(answers.acknowledged)
    finally:
        await standing.close()
        await stand.clear(bench.lab)

    # Intact is: all pages right, and all that was acknowledged read back, while users went on.
    assert (run.fate, run.intact, run.error) == (Fate.COMPLETED, True, "")
    assert run.switched_after_seconds is not None
    assert arrived == "beta"
    # No user's connection broke, and each was still answered when the guest had moved.
    assert run.latency is not None
    assert run.latency.errors == 0
    ended = run.started_at + run.total_seconds
    assert len(answers.clients) == 4
    assert all(answered[-1] > ended for _, answered in answers.clients)
    # What is read back is what was written, and what was not noted any more when the users left.
    assert len(answers.acknowledged) > 50
    assert all(held[row] >= times for row, times in answers.acknowledged.items())
    assert sum(held.values()) < 1.1 * sum(answers.acknowledged.values())
