"""What a page is made from: the record of each run, and what was seen of its guest."""

from collections.abc import Sequence
from dataclasses import dataclass

from postcopy.migration import Journal, Sample
from postcopy.migration.journal import Run

__all__ = ["RunReport", "GuestFacts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestFacts:
    """What an observer outside saw of the guest; None where nobody looked."""

    longest_freeze_seconds: float | None = None
    guest_seconds_lost: float | None = None
    """Downtime and slowdown together, against the guest's own rate before."""
    limit_ratio: float | None = None
    """Total time over the wire's limit, which is resident bytes over bandwidth; 1 is perfect."""
    pages_checked: int | None = None
    pages_wrong: int | None = None
    rebooted: bool | None = None
    panicked: bool | None = None


@dataclass(frozen=True, slots=True)
class RunReport:
    """All that is on record of one run."""

    run: Run
    samples: list[Sample]
    events: list[tuple[float, str, str]]
    """When (Unix time in seconds), kind and text, as `Journal.events` returns them."""
    progress: Sequence[tuple[float, float]] = ()
    """The guest's own writes a second, by the Unix time of each bin's middle."""
    guest: GuestFacts | None = None

    @classmethod
    def from_journal(
        cls,
        journal: Journal,
        run_id: int,
        progress: Sequence[tuple[float, float]] = (),
        guest: GuestFacts | None = None,
    ) -> "RunReport":
        """Read a run from the journal, and join it with what was seen of its guest.

        :raises NotFoundError: when there is no run of that number.
        :raises JournalError: when the journal cannot be read.
        """
        return cls(
            run=journal.run(run_id),
            samples=journal.samples(run_id),
            events=journal.events(run_id),
            progress=progress,
            guest=guest,
        )
