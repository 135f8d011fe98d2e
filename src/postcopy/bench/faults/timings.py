"""How soon a cut was noticed, and how soon after the link's return the guest's memory moved again.

Worked out from the journal alone: pure functions of samples, events and what was done when.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from postcopy.bench.faults.evidence import Mark
from postcopy.bench.faults.model import CUTS, Kind, Side
from postcopy.migration.journal import Journal
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample

__all__ = ["Timing", "read_journal", "timings"]

_INTERRUPTED = "recovery: interrupted:"
_BROKEN_OFF = "recovery: break off"
_PAUSED = f"-> {Phase.PAUSED}"
_ATTRIBUTED_SECONDS = 5.0
"""How long after a cut is over its connection may still be found dead."""

Event = tuple[float, str, str]
"""When, kind, text: as `Journal.events` returns them."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What one cut in post-copy cost.

    :ivar noticed_seconds: from the cut until it was told; None when it was over before anybody
        had to notice: TCP lost nothing, and went on by itself.
    :ivar back_seconds: from the link's return until memory moved again.

    Both are None also where nobody saw all of it: the command was killed in between, or the
    source's monitor was stopped.
    """

    kind: Kind
    noticed_seconds: float | None
    back_seconds: float | None


def read_journal(journal: Journal) -> tuple[list[Sample], list[Event]]:
    """Return all samples and events of a journal that has one guest's runs, in order of time."""
    samples: list[Sample] = []
    events: list[Event] = []
    for run in reversed(journal.runs()):
        samples += journal.samples(run.id)
        events += journal.events(run.id)
    return sorted(samples, key=lambda sample: sample.at), sorted(events)


def timings(
    samples: Sequence[Sample], events: Iterable[Event], marks: Iterable[Mark]
) -> tuple[list[Timing], int]:
    """Return what each cut in post-copy cost, and how often no cut explains a breaking off."""
    marks = list(marks)
    cuts = sorted(
        (mark for mark in marks if mark.fault.kind in CUTS and mark.at is not None),
        key=lambda mark: mark.at or 0.0,
    )
    blind = _blind(samples, marks)
    alarms = [at for at, _, text in events if text.startswith(_INTERRUPTED) or _PAUSED in text]
    found = []
    for number, cut in enumerate(cuts):
        assert cut.at is not None
        mended = cut.mended_at if cut.mended_at is not None else cut.at
        until = cuts[number + 1].at if number + 1 < len(cuts) else None
        if not _in_postcopy(samples, cut.at):
            continue
        noticed = next((at for at in alarms if _within(at, cut.at, until)), None)
        back = _moving(samples, max(mended, noticed or 0.0), until)
        found.append(
            Timing(
                cut.fault.kind,
                _watched(blind, cut.at, noticed),
                _watched(blind, mended, back),
            )
        )
    false = [
        at
        for at, _, text in events
        if text.startswith(_BROKEN_OFF) and not any(_explains(cut, at) for cut in cuts)
    ]
    return found, len(false)


def _blind(samples: Sequence[Sample], marks: Iterable[Mark]) -> list[tuple[float, float]]:
    """Return from when to when nobody could see the migration: killed, or QEMU not answering."""
    spans = []
    for mark in marks:
        stopped = mark.fault.kind is Kind.MONITOR and mark.fault.side is Side.SOURCE
        if mark.at is None or not (mark.fault.kind is Kind.CLIENT or stopped):
            continue
        over = mark.mended_at if mark.mended_at is not None else mark.at
        seen = (sample.at for sample in samples if sample.at > over)
        spans.append((mark.at, next(seen, math.inf)))
    return spans


def _watched(blind: Iterable[tuple[float, float]], begin: float, end: float | None) -> float | None:
    """Return how long something took, if somebody saw all of it."""
    if end is None or any(since < end and until > begin for since, until in blind):
        return None
    return max(0.0, end - begin)


def _in_postcopy(samples: Sequence[Sample], at: float) -> bool:
    before = [sample for sample in samples if sample.at <= at]
    after = [sample for sample in samples if sample.at > at]
    began = any(sample.phase.spread for sample in before)
    return began and any(not sample.phase.terminal for sample in after)


def _moving(samples: Sequence[Sample], since: float, until: float | None) -> float | None:
    """Return when more memory has been sent than before `since`, in post-copy or at its end."""
    sent = max((sample.transferred_bytes for sample in samples if sample.at <= since), default=0)
    for sample in samples:
        if not _within(sample.at, since, until):
            continue
        moved = sample.phase is Phase.POSTCOPY and sample.transferred_bytes > sent
        if moved or sample.phase is Phase.COMPLETED:
            return sample.at
    return None


def _within(at: float, since: float, until: float | None) -> bool:
    return at > since and (until is None or at < until)


def _explains(cut: Mark, at: float) -> bool:
    assert cut.at is not None
    over = cut.mended_at if cut.mended_at is not None else cut.at
    return cut.at <= at <= over + _ATTRIBUTED_SECONDS
