"""What the page shows, as plain data."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from postcopy.report.data import RunReport
from postcopy.report.summary import figures_of, verdict_on
from postcopy.report.timeline import Timeline

__all__ = ["to_json"]

_POINTS = 2000
_POINTS_OF_ALL = 16_000
"""Some 300 kB of text, so that a page of many runs stays light as well."""


def to_json(runs: Sequence[RunReport]) -> dict[str, Any]:
    """Return what the page shows as plain values, ready for `json.dumps`.

    Times within a run are seconds since its start. A series of more than 2,000 points (fewer where
    there are many runs) is thinned so that its extremes stay; all samples are in the journal.
    """
    limit = max(100, min(_POINTS, _POINTS_OF_ALL // (4 * max(1, len(runs)))))
    return {"format": 1, "runs": [_finite(_run(report, limit)) for report in runs]}


def _run(report: RunReport, limit: int) -> dict[str, Any]:
    timeline = Timeline.of(report)
    run = report.run.to_dict()
    del run["driver"]  # how to reach the monitor: of no use elsewhere, and nobody's business
    verdict = verdict_on(report)
    return {
        "run": run,
        "verdict": {"tone": str(verdict.tone), "text": verdict.text},
        "figures": asdict(figures_of(report)),
        "guest": asdict(report.guest) if report.guest else None,
        "seconds": [timeline.begin, timeline.end],
        "phases": [
            {"phase": str(span.phase), "begin": span.begin, "end": span.end}
            for span in timeline.spans
        ],
        "marks": [asdict(mark) for mark in timeline.marks],
        "events": [
            {"at": _relative(at, report), "kind": kind, "text": text}
            for at, kind, text in report.events
        ],
        "series": {
            name: {
                "seconds": [at for at, _ in points],
                "values": [value for _, value in points],
            }
            for name, points in timeline.thinned(limit).items()
        },
    }


def _relative(at: float, report: RunReport) -> float:
    return round(at - report.run.started_at, 4)


def _finite(value: Any) -> Any:
    """Return the value with None for every number that JSON cannot say."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
