"""Writes the page of a suite and its picture: what a person would look at, and the tables."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from postcopy.bench.analysis import Analysis, Case, Row
from postcopy.bench.bootstrap import Estimate
from postcopy.bench.charts import FIGURE_WORDS, suite_spec
from postcopy.bench.look import LIGHT, PAGE
from postcopy.bench.suite import Suite
from postcopy.report.document import fill, json_for_script, write_whole
from postcopy.units import format_bytes, format_seconds

__all__ = ["times", "write_pages"]

_PICTURE_SCALE = 2.0
_COLUMNS = (
    "runs",
    "cost",
    "\u00d7 reference",
    "total time",
    "longest freeze",
    "guest-seconds lost",
    "sent",
    "switch at",
)
_ANSWERS = ("p99 of answers", "p99 before")


def write_pages(
    path: Path, suite: Suite, about: Mapping[str, Any], analysis: Analysis
) -> tuple[Path, Path]:
    """Write a self-contained page, and beside it the picture in it as PNG; return both paths.

    :param path: of the page.
    :param about: what the record tells of how the runs were made.
    :raises PostcopyError: when they cannot be written.
    """
    import altair
    import vl_convert

    version = ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    picture = path.with_suffix(".png")
    drawn = vl_convert.vegalite_to_svg(suite_spec(analysis, PAGE), vl_version=version)
    write_whole(path, _render(suite, about, analysis, drawn).encode("utf-8", "replace"))
    paper = suite_spec(analysis, LIGHT)
    write_whole(
        picture, vl_convert.vegalite_to_png(paper, vl_version=version, scale=_PICTURE_SCALE)
    )
    return path, picture


def _render(suite: Suite, about: Mapping[str, Any], analysis: Analysis, picture: str) -> str:
    template = resources.files("postcopy.bench").joinpath("page.html").read_text("utf-8")
    with_answers = any(row.p99 for case in analysis.cases for row in case.rows)
    return fill(
        template,
        title=f"Benchmark: {suite.name}",
        about=suite.about,
        verdicts=_verdicts(analysis),
        picture=picture,
        description=_description(analysis),
        caption=_caption(suite, analysis),
        summaries=[
            (
                each.method,
                each.scenarios,
                each.given_up or "",
                *map(times, (each.median, each.least, each.greatest)),
            )
            for each in analysis.summaries
        ],
        columns=_COLUMNS + (_ANSWERS if with_answers else ()),
        cases=[_case(case, with_answers=with_answers) for case in analysis.cases],
        footer=_footer(suite, about),
        data=json_for_script(analysis.to_dict()),
    )


def times(value: float) -> str:
    """Return a ratio in words; an infinite one is that of a guest that was not moved."""
    return f"{value:.2f}" if math.isfinite(value) else "not moved"


@dataclass(frozen=True, slots=True)
class _Line:
    """What the template is told of a method on a scenario."""

    name: str
    note: str
    tone: str
    cells: list[tuple[str, str]]


def _case(case: Case, *, with_answers: bool) -> dict[str, Any]:
    return {
        "name": case.scenario.name,
        "rows": [_line(case, row, with_answers=with_answers) for row in case.rows],
    }


def _line(case: Case, row: Row, *, with_answers: bool) -> _Line:
    more = "> " if row.given_up else ""
    notes = [
        *(["the oracle"] if row.method == case.oracle else []),
        *([f"{row.given_up} given up"] if row.given_up else []),
        *([f"{row.failed} failed"] if row.failed else []),
        *([f"{row.wrong} not intact"] if row.wrong else []),
        *row.errors,
    ]
    switched = row.switched_after_seconds
    cells = [
        (str(row.runs), ""),
        _seconds(row.cost, more),
        _times(row.ratio, more),
        _seconds(row.total, more),
        _seconds(row.freeze),
        _seconds(row.lost, more),
        (format_bytes(row.sent.value) if row.sent else "\u2013", ""),
        (format_seconds(switched) if switched is not None else "\u2013", ""),
    ]
    if with_answers:
        before = row.p99_before
        cells += [_seconds(row.p99), (format_seconds(before) if before else "\u2013", "")]
    tone = "wrong" if row.wrong or row.failed else "chosen" if row.method == case.reference else ""
    return _Line(row.method, ", ".join(notes), tone, cells)


def _seconds(estimate: Estimate | None, more: str = "") -> tuple[str, str]:
    if estimate is None:
        return "\u2013", ""
    span = f"{format_seconds(estimate.low)} to {format_seconds(estimate.high)}"
    return more + format_seconds(estimate.value), span if estimate.low < estimate.high else ""


def _times(estimate: Estimate | None, more: str) -> tuple[str, str]:
    if estimate is None:
        return "\u2013", ""
    span = f"{estimate.low:.2f} to {estimate.high:.2f}"
    return f"{more}{estimate.value:.2f}", span if estimate.low < estimate.high else ""


def _verdicts(analysis: Analysis) -> list[tuple[str, str]]:
    rows = [row for case in analysis.cases for row in case.rows]
    runs, wrong, failed = (
        sum(getattr(r, what) for r in rows) for what in ("runs", "wrong", "failed")
    )
    found = []
    if wrong:
        found.append(("bad", f"{wrong} of {runs} guests did not come through intact."))
    else:
        found.append(("good", f"{runs} moves, and every guest came through intact."))
    if failed:
        found.append(("bad", f"{failed} more moves failed."))
    if text := _finding(analysis):
        found.append(("open", text))
    return found


def _finding(analysis: Analysis) -> str:
    """Say in a sentence how the first method stands."""
    if not analysis.summaries:
        return ""
    first, *others = analysis.summaries
    what = FIGURE_WORDS[analysis.figure].split(",")[0]
    if any(case.oracle for case in analysis.cases):
        return (
            f"{first.method}: its {what} is {times(first.median)} times that of the best fixed"
            f" moment in the median of {first.scenarios} scenarios, and {times(first.greatest)} at"
            " worst."
        )
    told = "; ".join(f"{each.method} {times(each.median)}" for each in others)
    return f"{what.capitalize()} in the median, as a multiple of {first.method}\u2019s: {told}."


def _description(analysis: Analysis) -> str:
    """Say in words what the picture shows, for those who cannot see it."""
    return "; ".join(
        f"{each.method}: {times(each.median)} in the median, {times(each.least)} to"
        f" {times(each.greatest)}"
        for each in analysis.summaries
    )


def _caption(suite: Suite, analysis: Analysis) -> str:
    words = (
        f"Medians of {suite.repeats} repeats, with intervals of 95 % from the bootstrap; pale bars"
        f" were given up after {format_seconds(suite.patience)}, and would have cost more."
    )
    if analysis.figure == "cost":
        words += f" A cost is the guest-seconds lost, and {analysis.price:g} for each second."
    return words


def _footer(suite: Suite, about: Mapping[str, Any]) -> str:
    where = [f"QEMU {about['qemu']}"] if "qemu" in about else []
    where += [f"{about['processors']} processors"] if "processors" in about else []
    return f"Measured by: postcopy bench run {suite.name}. " + ", ".join(where) + "."
