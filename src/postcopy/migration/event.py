"""What a supervisor tells those who watch it, the journal among them."""

from dataclasses import dataclass

from postcopy.migration.decision import Action
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample

__all__ = ["Acted", "Decided", "Event", "Noted", "PhaseChanged", "Recovered", "SampleTaken"]


@dataclass(frozen=True, slots=True)
class SampleTaken:
    """A driver looked at the migration."""

    sample: Sample

    @property
    def at(self) -> float:
        """When: Unix time in seconds."""
        return self.sample.at

    @property
    def text(self) -> str:
        """The hypervisor's own word."""
        return self.sample.status


@dataclass(frozen=True, slots=True)
class PhaseChanged:
    """The migration went from one phase to another."""

    at: float
    before: Phase
    after: Phase

    @property
    def text(self) -> str:
        """Both phases, for people."""
        return f"{self.before} -> {self.after}"


@dataclass(frozen=True, slots=True)
class Decided:
    """The policy said what to do; told at the first look, at each pass's end, and when it acts."""

    at: float
    action: Action
    reason: str

    @property
    def text(self) -> str:
        """The action and its reason, for people."""
        return f"{self.action}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Acted:
    """The hypervisor acknowledged an action."""

    at: float
    action: Action
    latency_seconds: float | None = None
    """Since the end of the pass that led to it; None when no pass did."""

    @property
    def text(self) -> str:
        """The action and what it took, for people."""
        if self.latency_seconds is None:
            return f"{self.action} acknowledged"
        return f"{self.action} acknowledged {self.latency_seconds * 1000:.1f} ms after the pass"


@dataclass(frozen=True, slots=True)
class Noted:
    """Something worth keeping that changes nothing."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """One step of a recovery was taken, or one ended."""

    at: float
    step: str
    """What was done, and why."""

    @property
    def text(self) -> str:
        """The step, for people."""
        return f"recovery: {self.step}"


Event = SampleTaken | PhaseChanged | Decided | Acted | Noted | Recovered
