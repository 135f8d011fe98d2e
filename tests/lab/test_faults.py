"""A short campaign on both floors: whatever breaks, no guest is lost."""

import json

import pytest

from .commands import spawn

pytestmark = pytest.mark.lab


def test_no_guest_is_lost_to_a_few_faults() -> None:
    """Seed 91 has cuts in post-copy on both floors, a killed command and a killed daemon."""
    campaign = ("--seed", "91", "--runs", "3", "--jobs", "2", "--lab", "t-faults")
    with spawn("bench", "faults", *campaign, "-f", "json") as process:
        out, err = process.communicate(timeout=500)
    assert process.returncode == 0, f"{out}{err}"
    told = json.loads(out)
    assert {run["fate"] for run in told["runs"]} <= {"moved", "stayed"}
    assert [timing for run in told["runs"] for timing in run["timings"]], "no cut in post-copy"
