"""How a migration ended, and the figures of its end."""

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from postcopy.migration.phase import Phase

__all__ = ["Fate", "Figures", "Outcome"]

# A downtime that takes in all of post-copy is this part of it, at the least, and longer than any
# that was really counted: a switch stops the guest for a few milliseconds.
_ALL_OF_IT, _LONG_FOR_A_SWITCH_SECONDS = 0.7, 0.1


class Fate(enum.StrEnum):
    """What has become of the guest."""

    COMPLETED = "completed"
    """It runs on the destination."""
    FAILED = "failed"
    """The hypervisor gave up; before post-copy, the guest goes on at the source."""
    CANCELLED = "cancelled"
    """Called off before post-copy; the guest goes on at the source."""
    INTERRUPTED = "interrupted"
    """The connection broke in post-copy; the guest waits, half here and half there."""
    ASTRAY = "astray"
    """It runs on the destination, and what manages it takes it to be at the source."""
    DETACHED = "detached"
    """Nobody watches it any more, but it goes on."""
    UNKNOWN = "unknown"
    """It cannot be told from here."""

    @classmethod
    def of(cls, phase: Phase) -> "Fate":
        """Return what a migration that was last seen in `phase` and is no longer watched is."""
        return {
            Phase.COMPLETED: cls.COMPLETED,
            Phase.FAILED: cls.FAILED,
            Phase.CANCELLED: cls.CANCELLED,
            Phase.PAUSED: cls.INTERRUPTED,
            Phase.ASTRAY: cls.ASTRAY,
            Phase.UNKNOWN: cls.UNKNOWN,
        }.get(phase, cls.DETACHED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The hypervisor's own account of a migration that has ended; None where it has none."""

    total_seconds: float | None = None
    downtime_seconds: float | None = None
    """How long it says that the guest stood still at the switch."""
    setup_seconds: float | None = None
    transferred_bytes: int | None = None
    precopy_bytes: int | None = None
    downtime_bytes: int | None = None
    postcopy_bytes: int | None = None
    normal_pages: int | None = None
    """Pages sent with their content."""
    zero_pages: int | None = None
    passes: int | None = None
    postcopy_requests: int | None = None
    blocktime_seconds: float | None = None
    """How long all vCPUs together waited for missing pages, where the destination measured it."""
    vcpu_blocktime_seconds: tuple[float, ...] | None = None
    latency_seconds: float | None = None
    """The mean time a requested page took, where the destination measured it."""
    latency_buckets: tuple[int, ...] | None = None
    """How many requested pages took 2^N to 2^(N+1) microseconds; N counts from 0."""

    def after_switch(self, postcopy_seconds: float) -> "Figures":
        """Return them as they are to be understood of a migration that ended in post-copy.

        QEMU counts milliseconds, and takes a downtime of none for one that it has not counted yet:
        at the end it counts all of post-copy, in which the guest runs (``migration_downtime_end``).

        :param postcopy_seconds: how long the guest's memory was on both hosts.
        """
        counted = self.downtime_seconds or 0.0
        anew = counted > max(_ALL_OF_IT * postcopy_seconds, _LONG_FOR_A_SWITCH_SECONDS)
        return replace(self, downtime_seconds=0.0) if anew else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one run ended."""

    fate: Fate
    phase: Phase
    """The last phase seen."""
    started_at: float
    ended_at: float
    switched_at: float | None = None
    """When the switch to post-copy was acknowledged."""
    switch_latency_seconds: float | None = None
    """From the end of the pass that led to the switch until the switch was acknowledged."""
    error: str = ""
    hint: str = ""
    """What to do about it, where the fate does not say it all."""
    recoveries: int = 0
    """How often the connection broke in post-copy and was made again."""
    interrupted_seconds: float = 0.0
    """From noticing that until the migration went on, of all of them together."""
    figures: Figures = field(default_factory=Figures)

    @property
    def total_seconds(self) -> float:
        """From the start until the source was no longer needed."""
        if self.figures.total_seconds is not None:
            return self.figures.total_seconds
        return self.ended_at - self.started_at

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as plain values, for JSON."""
        return {**asdict(self), "total_seconds": self.total_seconds}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Outcome":
        """Read what `to_dict` wrote."""
        rest = {k: v for k, v in data.items() if k not in ("total_seconds", "figures")}
        figures: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in data["figures"].items()
        }
        rest["fate"] = Fate(rest["fate"])
        rest["phase"] = Phase(rest["phase"])
        return cls(**rest, figures=Figures(**figures))
