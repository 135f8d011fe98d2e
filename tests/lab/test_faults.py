"""A short campaign on each floor: whatever breaks, no guest is lost."""

import pytest

from .commands import data

pytestmark = pytest.mark.lab


def test_no_guest_is_lost_to_a_few_faults() -> None:
    told = data("bench", "faults", "--seed", "91", "--runs", "3", "--lab", "t-faults")
    assert told["failed"] == []
    assert told["untried"] == []
    assert {run["fate"] for run in told["runs"]} <= {"moved", "stayed"}
    struck = [timing for run in told["runs"] for timing in run["timings"]]
    assert struck, "no cut came in post-copy"
