"""QEMU's words for a migration, in ours. Pure: a ``query-migrate`` answer in, values out.

Units in qapi/migration.json: sizes in bytes, ``mbps`` in 10^6 bits a second, ``dirty-pages-rate``
in pages a second, times in milliseconds, ``postcopy-latency`` in nanoseconds.
"""

from collections.abc import Mapping
from typing import Any

from postcopy.migration.outcome import Figures
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample

__all__ = ["STATES", "figures_of", "phase_of", "sample_of"]

STATES: Mapping[str, Phase] = {
    "none": Phase.SETUP,
    "setup": Phase.SETUP,
    "wait-unplug": Phase.SETUP,
    "active": Phase.PRECOPY,
    "colo": Phase.PRECOPY,
    "pre-switchover": Phase.SWITCHOVER,
    "device": Phase.SWITCHOVER,
    "postcopy-device": Phase.SWITCHOVER,
    "postcopy-active": Phase.POSTCOPY,
    "postcopy-paused": Phase.PAUSED,
    "postcopy-recover-setup": Phase.RECOVERING,
    "postcopy-recover": Phase.RECOVERING,
    "completed": Phase.COMPLETED,
    "failed": Phase.FAILED,
    "cancelled": Phase.CANCELLED,
}
"""``MigrationStatus`` of qapi/migration.json; the states on the way to an end are below."""

# "cancelling" and "failing" are not ends yet: the guest may not run again so far. They say nothing
# about where the memory is either, so the phase stays what it was.
_ON_THE_WAY = frozenset({"cancelling", "failing"})


def phase_of(status: str, before: Phase = Phase.SETUP) -> Phase:
    """Return the phase that a QEMU status means; a word never heard of is `Phase.UNKNOWN`."""
    if status in _ON_THE_WAY:
        return before
    return STATES.get(status, Phase.UNKNOWN)


def sample_of(
    answer: Mapping[str, Any],
    at: float,
    *,
    before: Phase = Phase.SETUP,
    pass_ended_at: float | None = None,
) -> Sample:
    """Read the source's answer to ``query-migrate``.

    :param at: when it was asked, in Unix time.
    :param before: the phase of the sample before this one.
    :param pass_ended_at: when QEMU said that a pass ended, if that is why it was asked.
    """
    status = answer.get("status", "none")
    ram = answer.get("ram", {})
    page_size = ram.get("page-size", 4096)
    return Sample(
        at=at,
        phase=phase_of(status, before),
        status=status,
        pass_number=ram.get("dirty-sync-count", 0),
        pass_ended_at=pass_ended_at,
        total_bytes=ram.get("total", 0),
        remaining_bytes=ram.get("remaining", 0),
        transferred_bytes=ram.get("transferred", 0),
        bandwidth=ram.get("mbps", 0.0) * 1e6 / 8,
        dirty_rate=float(ram.get("dirty-pages-rate", 0) * page_size),
        requests=ram.get("postcopy-requests", 0),
        error=answer.get("error-desc", ""),
    )


def figures_of(source: Mapping[str, Any], destination: Mapping[str, Any]) -> Figures:
    """Read the final ``query-migrate`` answers of both sides."""
    ram = source.get("ram", {})
    vcpus = destination.get("postcopy-vcpu-blocktime")
    buckets = destination.get("postcopy-latency-dist")
    return Figures(
        total_seconds=_scaled(source.get("total-time"), 1e-3),
        downtime_seconds=_scaled(source.get("downtime"), 1e-3),
        setup_seconds=_scaled(source.get("setup-time"), 1e-3),
        transferred_bytes=ram.get("transferred"),
        precopy_bytes=ram.get("precopy-bytes"),
        downtime_bytes=ram.get("downtime-bytes"),
        postcopy_bytes=ram.get("postcopy-bytes"),
        normal_pages=ram.get("normal"),
        zero_pages=ram.get("duplicate"),
        passes=ram.get("dirty-sync-count"),
        postcopy_requests=ram.get("postcopy-requests"),
        blocktime_seconds=_scaled(destination.get("postcopy-blocktime"), 1e-3),
        vcpu_blocktime_seconds=tuple(ms * 1e-3 for ms in vcpus) if vcpus is not None else None,
        latency_seconds=_scaled(destination.get("postcopy-latency"), 1e-9),
        latency_buckets=tuple(buckets) if buckets is not None else None,
    )


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
