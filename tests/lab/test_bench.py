"""A benchmark, small: stopped in its middle, gone on with, and shown."""

import signal
from pathlib import Path

import pytest

from postcopy.bench.stand import GUEST
from postcopy.lab.domain import LabDomain
from postcopy.lab.guest import LabGuest

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

    first = spawn(*command)
    assert first.stderr is not None
    for line in first.stderr:
        if "[1/3]" in line:
            first.send_signal(signal.SIGINT)
            break
    first.communicate(timeout=60)
    assert first.returncode == 130
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
