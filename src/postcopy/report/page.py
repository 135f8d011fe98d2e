"""Writes the page: one file that needs nothing else, wherever it is opened."""

import base64
import functools
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from postcopy.report.charts import AXIS_PIXELS, PHASES, figure_spec
from postcopy.report.data import RunReport
from postcopy.report.document import fill, json_for_script, part, write_whole
from postcopy.report.plain import to_json
from postcopy.report.summary import Verdict, comparison, verdict_on
from postcopy.report.timeline import Timeline
from postcopy.units import format_bytes, format_seconds

__all__ = ["render_page", "write_page"]

_T = TypeVar("_T")

_EVENTS = 1000
"""How many events all runs of a page may list; the journal has the rest."""
_SAME_SCALE = 4.0
"""Runs share a time axis unless one is this many times as long as another."""


def write_page(path: Path, title: str, runs: Sequence[RunReport], subtitle: str = "") -> None:
    """Write a self-contained HTML page about some runs, set side by side.

    The file appears whole or not at all; directories above it are made when missing.

    :raises PostcopyError: when it cannot be written.
    """
    # Names come from file systems and monitors: not all of them are text in UTF-8.
    write_whole(path, render_page(title, runs, subtitle).encode("utf-8", "replace"))


def render_page(title: str, runs: Sequence[RunReport], subtitle: str = "") -> str:
    """Return the page's HTML."""
    timelines = [Timeline.of(run) for run in runs]
    domains = _domains(timelines)
    # Bundling the libraries takes a second, in which nothing holds the interpreter's lock.
    with ThreadPoolExecutor(1) as pool:
        vega = pool.submit(_vega)
        sections = [
            _section(run, timeline, domain, _EVENTS // len(runs))
            for run, timeline, domain in zip(runs, timelines, domains, strict=True)
        ]
    data = to_json(runs)
    for run, section in zip(data["runs"], sections, strict=True):
        if section.left_out:
            run["events"] = _ends(run["events"], _EVENTS // len(runs))
    figures = {
        "axis": AXIS_PIXELS,
        "phases": {str(phase): name for phase, name in PHASES.items()},
        "domains": domains,
        "specs": [section.spec for section in sections],
    }
    scripts = {"vega": vega.result(), "script": part("page.js")}
    return fill(
        part("page.html"),
        title=title,
        subtitle=subtitle,
        sections=sections,
        rows=comparison(runs),
        phases=PHASES,
        data=json_for_script(data),
        figures=json_for_script(figures),
        hashes=[_hash(text) for text in scripts.values()],
        **scripts,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    """What the template is told of one run."""

    report: RunReport
    verdict: Verdict
    started: str
    spec: dict[str, Any] | None
    """None when there is nothing to draw."""
    description: str
    legend: list[tuple[str, str]]
    """The lines and markers that the figure shows: style name, and what it stands for."""
    phases: list[str]
    events: list[tuple[str, str, str]]
    left_out: int
    """How many events are not listed, between the first and the last ones."""


def _section(
    report: RunReport, timeline: Timeline, domain: tuple[float, float], most: int
) -> _Section:
    events = [
        (format_seconds(at - report.run.started_at), _EVENT_WORDS.get(kind, kind), text)
        for at, kind, text in report.events
    ]
    kinds = {mark.kind for mark in timeline.marks}
    return _Section(
        report=report,
        verdict=verdict_on(report),
        started=_date(report.run.started_at),
        spec=figure_spec(timeline, domain) if timeline.series else None,
        description=_description(timeline),
        legend=[
            (name, words)
            for name, words in _LEGEND.items()
            if name in timeline.series or name.removeprefix("mark-") in kinds
        ],
        phases=[phase for phase in PHASES if any(s.phase is phase for s in timeline.spans)],
        events=_ends(events, most),
        left_out=max(0, len(events) - most),
    )


def _ends(items: list[_T], most: int) -> list[_T]:
    """Return at most that many items: the first and the last ones."""
    if len(items) <= most:
        return items
    return [*items[: most - most // 2], *items[len(items) - most // 2 :]]


_EVENT_WORDS = {
    "PhaseChanged": "phase",
    "Decided": "decision",
    "Acted": "action",
    "Recovered": "recovery",
    "Noted": "note",
}

_LEGEND = {
    "remaining": "memory still to be sent",
    "bandwidth": "bandwidth",
    "dirty_rate": "dirty rate",
    "progress": "the guest\u2019s own writes",
    "mark-pass": "end of a pass",
    "mark-switch": "switch to post-copy",
    "mark-cancel": "called off",
}


def _domains(timelines: Sequence[Timeline]) -> list[tuple[float, float]]:
    """Return what each time axis spans: the same for all, unless that would squeeze one of them."""
    spans = [(timeline.begin, max(timeline.end, timeline.begin + 0.1)) for timeline in timelines]
    lengths = [end - begin for begin, end in spans]
    if spans and max(lengths) <= _SAME_SCALE * min(lengths):
        shared = (min(begin for begin, _ in spans), max(end for _, end in spans))
        return [shared] * len(spans)
    return spans


def _description(timeline: Timeline) -> str:
    """Say in words what the figure shows, for those who cannot see it."""
    sentences = [
        f"{PHASES[span.phase]} from {span.begin:.2f} to {span.end:.2f} seconds"
        for span in timeline.spans[:20]
    ]
    if remaining := timeline.series.get("remaining"):
        first, last = remaining[0][1], remaining[-1][1]
        sentences.append(
            f"memory still to be sent goes from {format_bytes(first)} to {format_bytes(last)}"
        )
    if bandwidth := timeline.series.get("bandwidth"):
        sentences.append(f"bandwidth is at most {format_bytes(max(v for _, v in bandwidth))}/s")
    if progress := timeline.series.get("progress"):
        values = [value for _, value in progress]
        sentences.append(
            f"the guest makes between {min(values):,.0f} and {max(values):,.0f} writes a second"
        )
    return "; ".join(sentences)


def _date(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return "at an unknown time"


@functools.cache
def _vega() -> str:
    """Return the drawing libraries as one script, in the version that altair writes for."""
    import altair as alt
    import vl_convert

    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", version)
    return bundle.replace("</script", "<\\/script")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
