"""Histories made by hand: samples at given moments."""

from collections.abc import Iterable

from postcopy.migration import Action, History, Phase, Policy, Sample

GIB = 1 << 30
MB = 1_000_000


def sample(
    at: float,
    left: float = 500 * MB,
    *,
    number: int = 1,
    ended: bool = False,
    total: int = GIB,
    bandwidth: float = 100e6,
    sent: float = 0,
    disk: int = 0,
    disk_left: int = 0,
) -> Sample:
    """One look in pre-copy; times in seconds since the start, sizes in bytes."""
    return Sample(
        at=at,
        phase=Phase.PRECOPY,
        pass_number=number,
        pass_ended_at=at if ended else None,
        total_bytes=total,
        remaining_bytes=round(left),
        disk_total_bytes=disk,
        disk_remaining_bytes=disk_left,
        transferred_bytes=round(sent),
        bandwidth=bandwidth,
    )


def played(
    policy: Policy, samples: Iterable[Sample], downtime_limit: float = 0.3
) -> list[tuple[float, Action, float | None]]:
    """Return when a policy wanted what, its wishes being met, until it switches or gives up."""
    history = History(downtime_limit)
    wanted: list[tuple[float, Action, float | None]] = []
    for one in samples:
        history.add(one)
        decision = policy.decide(history)
        assert decision.reason
        if decision.action is Action.CONTINUE:
            continue
        wanted.append((round(one.at, 6), decision.action, decision.downtime_limit))
        if decision.action is Action.LIMIT_DOWNTIME:
            assert decision.downtime_limit is not None
            history.downtime_limit = decision.downtime_limit
        elif decision.action is Action.PAUSE:
            history.paused = True
        else:
            break
    return wanted
