import subprocess
import sys

import pytest

from postcopy.migration import Phase
from postcopy.qemu.status import STATES, figures_of, phase_of, sample_of


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("active", Phase.PRECOPY),
        ("device", Phase.SWITCHOVER),
        ("postcopy-active", Phase.POSTCOPY),
        ("postcopy-recover-setup", Phase.RECOVERING),
        ("postcopy-device", Phase.SWITCHOVER),
    ],
)
def test_states_are_translated(status: str, phase: Phase) -> None:
    assert phase_of(status) is phase


def test_a_state_never_heard_of_is_unknown() -> None:
    assert phase_of("postcopy-teleporting") is Phase.UNKNOWN


@pytest.mark.parametrize("status", ["cancelling", "failing"])
@pytest.mark.parametrize("before", [Phase.PRECOPY, Phase.POSTCOPY])
def test_on_the_way_to_an_end_the_phase_stays(status: str, before: Phase) -> None:
    assert status not in STATES
    assert phase_of(status, before) is before


def test_units() -> None:
    answer = {
        "status": "active",
        "ram": {
            "total": 671_088_640, "remaining": 1000, "transferred": 2000, "mbps": 944.0,
            "dirty-pages-rate": 10, "page-size": 4096, "dirty-sync-count": 2,
        },
    }  # fmt: skip
    sample = sample_of(answer, 12.5, pass_ended_at=12.4)
    assert sample.bandwidth == 118e6
    assert sample.dirty_rate == 40960
    assert (sample.pass_number, sample.pass_ended) == (2, True)


def test_an_answer_without_ram_is_a_sample() -> None:
    assert sample_of({}, 1.0).phase is Phase.SETUP
    assert sample_of({"status": "setup"}, 1.0).remaining_bytes == 0


def test_figures_come_from_both_sides() -> None:
    source = {"total-time": 5940, "downtime": 7, "setup-time": 2, "ram": {"transferred": 705}}
    destination = {
        "postcopy-blocktime": 120, "postcopy-vcpu-blocktime": [120],
        "postcopy-latency": 571_000, "postcopy-latency-dist": [0, 3, 9],
    }  # fmt: skip
    figures = figures_of(source, destination)
    assert figures.total_seconds == pytest.approx(5.94)
    assert figures.downtime_seconds == pytest.approx(0.007)
    assert figures.blocktime_seconds == pytest.approx(0.12)
    assert figures.latency_seconds == pytest.approx(0.000571)
    assert figures.latency_buckets == (0, 3, 9)
    assert figures_of({}, {}).downtime_seconds is None


def test_importing_does_not_configure_the_root_logger() -> None:
    look = "import logging, postcopy.qemu.monitor; print(logging.getLogger().handlers)"
    done = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "[]\n"
