"""A run laid out in time: seconds since its start, whatever the clock said."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from postcopy.migration import Phase, Sample
from postcopy.report.data import RunReport
from postcopy.units import format_bytes

__all__ = ["Timeline", "Span", "Mark", "Points", "thin"]

Points = list[tuple[float, float]]
"""Seconds since the run's start, and a value at that time."""

# Phases in which the figures of a sample say nothing about memory on the move.
_SILENT = frozenset({Phase.SETUP, Phase.UNKNOWN})

_PASS_MARKS = 60
"""More lines than these would hide what they are drawn over."""


@dataclass(frozen=True, slots=True)
class Span:
    """How long the run stayed in one phase."""

    phase: Phase
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment worth a line across the charts; `kind` is pass, switch or cancel."""

    at: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """What the charts of one run show."""

    begin: float
    """Where the time axis begins: 0, or before it if the guest was watched before."""
    end: float
    spans: list[Span]
    marks: list[Mark]
    series: Mapping[str, Points]
    """By name: remaining, bandwidth, dirty_rate, progress; without those that have no points."""

    @classmethod
    def of(cls, report: RunReport) -> "Timeline":
        """Lay out a run."""
        start = report.run.started_at
        finish = _finish(report)
        # What the guest did shortly before and after is what the time between is judged by.
        margin = max(1.0, 0.1 * finish)
        progress = [
            point
            for point in _points((at - start, rate) for at, rate in report.progress)
            if -margin <= point[0] <= finish + margin
        ]
        series = {
            "remaining": _of_samples(report, "remaining_bytes"),
            "bandwidth": _measured(report, "bandwidth"),
            "dirty_rate": _measured(report, "dirty_rate"),
            "progress": progress,
        }
        return cls(
            begin=min([0.0, *(at for at, _ in progress[:1])]),
            end=max([finish, *(at for at, _ in progress[-1:])]),
            spans=_spans(report, finish),
            marks=sorted([*_passes(report), *_actions(report)], key=lambda mark: mark.at),
            series={name: points for name, points in series.items() if points},
        )

    def thinned(self, limit: int) -> dict[str, Points]:
        """Return the series, each of at most `limit` points."""
        return {name: thin(points, limit) for name, points in self.series.items()}


def thin(points: Points, limit: int) -> Points:
    """Return at most `limit` of the points, with the least and the greatest of each stretch.

    A line through them looks like the line through all, and no spike is lost.

    :param limit: at least 4.
    """
    if len(points) <= limit:
        return points
    inner = points[1:-1]
    stretches = (limit - 2) // 2
    kept = [points[0]]
    for number in range(stretches):
        first = number * len(inner) // stretches
        last = (number + 1) * len(inner) // stretches
        stretch = range(first, last)
        least = min(stretch, key=lambda index: inner[index][1])
        greatest = max(stretch, key=lambda index: inner[index][1])
        kept += [inner[index] for index in sorted({least, greatest})]
    kept.append(points[-1])
    return kept


def _finish(report: RunReport) -> float:
    start = report.run.started_at
    moments = [sample.at - start for sample in report.samples[-1:]]
    if report.run.outcome is not None:
        moments.append(report.run.outcome.ended_at - start)
    return round(max([0.0, *(moment for moment in moments if math.isfinite(moment))]), 4)


def _points(pairs: Iterator[tuple[float, float]]) -> Points:
    return [
        (round(at, 4), float(round(value)) if abs(value) >= 1000 else round(value, 3))
        for at, value in pairs
        if math.isfinite(at) and math.isfinite(value)
    ]


def _of_samples(report: RunReport, name: str, samples: Sequence[Sample] | None = None) -> Points:
    start = report.run.started_at
    return _points(
        (sample.at - start, getattr(sample, name))
        for sample in (report.samples if samples is None else samples)
        if sample.phase not in _SILENT and sample.total_bytes
    )


def _measured(report: RunReport, name: str) -> Points:
    """Return a rate while it was being measured: 0 before the first measurement says nothing."""
    moving = [sample for sample in report.samples if not sample.phase.terminal]
    points = _of_samples(report, name, moving)
    known = next((index for index, point in enumerate(points) if point[1]), len(points))
    return points[known:]


def _spans(report: RunReport, finish: float) -> list[Span]:
    start = report.run.started_at
    changes: list[tuple[Phase, float]] = []
    for sample in report.samples:
        if not changes or changes[-1][0] is not sample.phase:
            changes.append((sample.phase, round(sample.at - start, 4)))
    if changes:
        changes.append((changes[-1][0], finish))
    return [
        Span(phase, begin, end)
        for (phase, begin), (_, end) in pairwise(changes)
        if end > begin and not phase.terminal
    ]


def _passes(report: RunReport) -> list[Mark]:
    ends = [sample for sample in report.samples if sample.pass_ended_at is not None]
    return [
        Mark(
            round((sample.pass_ended_at or sample.at) - report.run.started_at, 4),
            "pass",
            # The sample already counts the pass that begins.
            f"pass {max(1, sample.pass_number - 1)} ended,"
            f" {format_bytes(sample.remaining_bytes)} to send again",
        )
        for sample in ends[:: math.ceil(len(ends) / _PASS_MARKS) or 1]
    ]


def _actions(report: RunReport) -> Iterator[Mark]:
    words = {"switch": "switched to post-copy", "cancel": "called off"}
    for at, kind, text in report.events:
        action = text.partition(" ")[0]
        if kind == "Acted" and action in words:
            yield Mark(round(at - report.run.started_at, 4), action, words[action])
