"""libvirt's words for a migration, in ours. Pure: statistics and events in, values out.

Units in libvirt-domain.h (``VIR_DOMAIN_JOB_*``): sizes in bytes, ``memory_bps`` and
``memory_dirty_rate`` in bytes and pages a second, times in milliseconds.
"""

from collections.abc import Mapping
from typing import Any

import libvirt

from postcopy.migration.outcome import Figures
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample
from postcopy.units import format_bytes

__all__ = ["disks_in_words", "figures_of", "phase_of_event", "phase_of_state", "sample_of"]

_PAUSED = libvirt.VIR_DOMAIN_PAUSED

# What a paused or running domain at the source says of a migration, by its reason.
_SOURCE_REASONS = {
    (_PAUSED, "VIR_DOMAIN_PAUSED_MIGRATION"): Phase.SWITCHOVER,
    (_PAUSED, "VIR_DOMAIN_PAUSED_POSTCOPY"): Phase.POSTCOPY,
    (_PAUSED, "VIR_DOMAIN_PAUSED_POSTCOPY_FAILED"): Phase.PAUSED,
}

# What a lifecycle event of the source says, by its detail. STOPPED is no news by itself: whether
# the guest has arrived is looked up.
_SUSPENDED_DETAILS = {
    "VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED": Phase.SWITCHOVER,
    "VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY": Phase.POSTCOPY,
    "VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY_FAILED": Phase.PAUSED,
}


def phase_of_state(state: int, reason: int, migrating: bool) -> Phase:
    """Return the phase that the source's domain is in.

    :param state: ``VIR_DOMAIN_*``.
    :param reason: what goes with it.
    :param migrating: whether a migration job is under way.
    """
    for (known, name), phase in _SOURCE_REASONS.items():
        if state == known and reason == getattr(libvirt, name, None):
            return phase
    return Phase.PRECOPY if migrating else Phase.SETUP


def phase_of_event(event: int, detail: int) -> Phase | None:
    """Return the phase that a lifecycle event of the source's domain announces, if any."""
    if event != libvirt.VIR_DOMAIN_EVENT_SUSPENDED:
        return None
    for name, phase in _SUSPENDED_DETAILS.items():
        if detail == getattr(libvirt, name, None):
            return phase
    return None


def sample_of(
    statistics: Mapping[str, Any],
    at: float,
    phase: Phase,
    *,
    status: str = "",
    pass_ended_at: float | None = None,
    error: str = "",
) -> Sample:
    """Read the source's job statistics (``virDomainGetJobStats``).

    Only memory counts, not what is mirrored of disks (``data_*`` is both): passes are memory's, and
    so is what is left at the switch. libvirt brings the disks to an end by itself before it.
    """
    return Sample(
        at=at,
        phase=phase,
        status=status,
        pass_number=statistics.get("memory_iteration", 0),
        pass_ended_at=pass_ended_at,
        total_bytes=statistics.get("memory_total", 0),
        remaining_bytes=statistics.get("memory_remaining", 0),
        disk_total_bytes=statistics.get("disk_total", 0),
        disk_remaining_bytes=statistics.get("disk_remaining", 0),
        transferred_bytes=statistics.get("memory_processed", 0),
        bandwidth=float(statistics.get("memory_bps", 0)),
        dirty_rate=float(
            statistics.get("memory_dirty_rate", 0) * statistics.get("memory_page_size", 4096)
        ),
        requests=statistics.get("memory_postcopy_requests", 0),
        error=error or statistics.get("errmsg", ""),
    )


def disks_in_words(statistics: Mapping[str, Any]) -> str:
    """Say how far the copying of disks is, which comes before any memory; empty without disks."""
    total = statistics.get("disk_total", 0)
    if not total or statistics.get("memory_total"):
        return ""
    copied = format_bytes(total - statistics.get("disk_remaining", 0))
    return f"copying disks: {copied} of {format_bytes(total)}"


def figures_of(statistics: Mapping[str, Any]) -> Figures:
    """Read the statistics of a job that is over."""
    return Figures(
        total_seconds=_seconds(statistics.get("time_elapsed")),
        downtime_seconds=_seconds(statistics.get("downtime")),
        setup_seconds=_seconds(statistics.get("setup_time")),
        transferred_bytes=statistics.get("memory_processed"),
        normal_pages=statistics.get("memory_normal"),
        zero_pages=statistics.get("memory_constant"),
        passes=statistics.get("memory_iteration"),
        postcopy_requests=statistics.get("memory_postcopy_requests"),
    )


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
