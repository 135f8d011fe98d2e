"""Runs as if they had been measured."""

from postcopy.bench.record import Measured
from postcopy.bench.scenario import Scenario
from postcopy.migration.outcome import Fate

HOT = Scenario(workload="hot", share=50)
IDLE = Scenario(workload="idle")


def measured(
    method: str,
    repeat: int,
    total: float,
    lost: float,
    *,
    scenario: Scenario = HOT,
    freeze: float = 0.1,
    fate: Fate = Fate.COMPLETED,
    intact: bool = True,
    error: str = "",
) -> Measured:
    return Measured(
        scenario=scenario,
        method=method,
        repeat=repeat,
        started_at=1000.0 + 100 * repeat,
        fate=fate,
        total_seconds=total,
        longest_freeze_seconds=freeze,
        guest_seconds_lost=lost,
        transferred_bytes=1000,
        intact=intact,
        error=error,
    )
