"""A suite's results as Markdown, for documents: what is in them was never typed by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

from postcopy.bench.analysis import Analysis, Case, Row
from postcopy.bench.bootstrap import Estimate
from postcopy.bench.charts import FIGURE_WORDS, labels_of
from postcopy.bench.page import times
from postcopy.bench.suite import Suite
from postcopy.units import format_seconds

__all__ = ["to_markdown"]


def to_markdown(
    suite: Suite, about: Mapping[str, Any], analysis: Analysis, repeats: int | None = None
) -> str:
    """Return the results of a suite: every method on every scenario, then the first one's figures.

    :param about: what the record tells of how the runs were made.
    :param repeats: how many there were; those of the suite if None.
    """
    runs = sum(row.runs for case in analysis.cases for row in case.rows)
    where = f", QEMU {about['qemu']}" if "qemu" in about else ""
    figure = FIGURE_WORDS[analysis.figure].split(",")[0]
    labels = labels_of(analysis)
    head = (
        f"`postcopy bench run {suite.name} --repeats {repeats or suite.repeats} -f markdown`:"
        f" {runs} moves{where}."
    )
    overview = (
        f"{figure.capitalize()} as a multiple of the reference's, which is"
        f" {_references(analysis)}; the median, the best and the worst of all scenarios first:"
    )
    parts = [
        head,
        overview,
        _overview(analysis, labels),
        "Medians with intervals of 95 %:",
        _details(analysis, labels),
    ]
    return "\n\n".join(parts) + "\n"


def _references(analysis: Analysis) -> str:
    if any(case.oracle for case in analysis.cases):
        return "the best fixed moment of each guest"
    names = dict.fromkeys(f"`{case.reference}`" for case in analysis.cases)
    return " or ".join(names)


def _overview(analysis: Analysis, labels: Mapping[str, str]) -> str:
    columns = ["method", "median", "best", "worst", *labels.values()]
    rows = []
    for each in analysis.summaries:
        cells = [f"`{each.method}`", *map(times, (each.median, each.least, each.greatest))]
        for case in analysis.cases:
            row = case.row(each.method)
            cells.append(_ratio(row) if row is not None else "")
        rows.append(cells)
    return _table(columns, rows)


def _ratio(row: Row) -> str:
    if row.ratio is None:
        return "failed"
    return ("> " if row.given_up else "") + f"{row.ratio.value:.2f}"


def _details(analysis: Analysis, labels: Mapping[str, str]) -> str:
    served = any(row.p99 for case in analysis.cases for row in case.rows)
    columns = ["guest", "method", "cost", "x reference", "total time", "longest freeze"]
    columns += ["guest-seconds lost", *(["p99 of answers", "before"] if served else [])]
    rows = []
    for case in analysis.cases:
        for row in _shown(case, everything=served or analysis.figure != "cost"):
            more = "> " if row.given_up else ""
            before = row.p99_before
            name = f"`{row.method}`" + (", the oracle" if row.method == case.oracle else "")
            rows.append(
                [
                    labels[case.scenario.name],
                    name,
                    more + _span(row.cost),
                    more + _factor(row.ratio),
                    more + _span(row.total),
                    _span(row.freeze),
                    more + _span(row.lost),
                    *([_span(row.p99), format_seconds(before) if before else ""] if served else []),
                ]
            )
    return _table(columns, rows)


def _shown(case: Case, *, everything: bool) -> Sequence[Row]:
    first, *others = case.rows
    return case.rows if everything else [first, *(r for r in others if r.method == case.reference)]


def _span(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    value, low, high = map(format_seconds, (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"


def _factor(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell for cell in line) + " |" for line in lines)
