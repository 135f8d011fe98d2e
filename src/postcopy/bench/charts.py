"""The picture of a suite: every method on every scenario, and where its cost comes from.

Described for Vega-Lite, in the colours that are handed in (`postcopy.bench.look`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from postcopy.bench.analysis import Analysis, Case, Row
from postcopy.bench.bootstrap import Estimate
from postcopy.bench.look import PANEL_PIXELS, look, names, title
from postcopy.bench.users_chart import users_panel

if TYPE_CHECKING:
    import altair as alt

__all__ = ["FIGURE_WORDS", "labels_of", "suite_spec"]

FIGURE_WORDS: Mapping[str, str] = {
    "cost": "cost, guest-seconds",
    "total": "total time, seconds",
    "freeze": "longest freeze, seconds",
    "lost": "guest-seconds lost",
    "sent": "bytes sent",
    "p99": "99th percentile of answers, seconds",
}

_GOOD, _BAD = 1.10, 1.50
"""Up to this many times the reference's a method is about as good; from that on it is worse."""
_CELL_PIXELS = (92, 26)
_COLUMNS = 2


def labels_of(analysis: Analysis) -> dict[str, str]:
    """Return a short label for each scenario: what tells it from the others."""
    traits = [case.scenario.traits for case in analysis.cases]
    if len(traits) < 2:
        return {case.scenario.name: case.scenario.traits[0] for case in analysis.cases}
    shared = set.intersection(*map(set, traits))
    return {
        case.scenario.name: ", ".join(
            word for at, word in enumerate(case.scenario.traits) if at == 0 or word not in shared
        )
        for case in analysis.cases
    }


def suite_spec(analysis: Analysis, colours: Mapping[str, str]) -> dict[str, Any]:
    """Describe the picture as a Vega-Lite specification."""
    import altair as alt

    labels = labels_of(analysis)
    parts: list[alt.Chart | alt.LayerChart | alt.HConcatChart | alt.VConcatChart] = []
    if any(row.ratio for case in analysis.cases for row in case.rows):
        parts.append(_overview(analysis, labels, colours))
    panels = [_panel(case, analysis, labels, colours) for case in analysis.cases]
    rows = [panels[at : at + _COLUMNS] for at in range(0, len(panels), _COLUMNS)]
    parts += [alt.hconcat(*row, spacing=24).resolve_scale(yOffset="independent") for row in rows]
    served = [case for case in analysis.cases if any(row.waits for row in case.rows)]
    panels = [users_panel(case, labels[case.scenario.name], colours) for case in served]
    parts += [
        alt.hconcat(*panels[at : at + _COLUMNS], spacing=24).resolve_scale(yOffset="independent")
        for at in range(0, len(panels), _COLUMNS)
    ]
    chart = alt.vconcat(*parts, spacing=22).resolve_scale(
        color="independent", x="independent", y="independent", yOffset="independent"
    )
    spec: dict[str, Any] = chart.configure(**look(colours)).to_dict()
    return spec


def _overview(
    analysis: Analysis, labels: Mapping[str, str], colours: Mapping[str, str]
) -> "alt.LayerChart":
    """Show the ratio of every method on every scenario."""
    import altair as alt

    cells = [
        {
            "scenario": labels[case.scenario.name],
            "method": row.method,
            "text": ("> " if row.given_up else "") + f"{row.ratio.value:.2f}",
            "tone": "bad" if row.given_up else _tone(row.ratio.value),
        }
        for case in analysis.cases
        for row in case.rows
        if row.ratio
    ]
    methods = list(dict.fromkeys(row.method for case in analysis.cases for row in case.rows))
    width, height = _CELL_PIXELS
    base = alt.Chart(alt.InlineData(values=cells)).encode(
        x=alt.X(
            "scenario:N",
            sort=list(labels.values()),
            title=None,
            axis=alt.Axis(orient="top", labelAngle=-25, labelLimit=220, domain=False, ticks=False),
        ),
        y=alt.Y("method:N", sort=methods, title=None, axis=names()),
    )
    tones = {"good": colours["good"], "fair": colours["line"], "bad": colours["bad"]}
    fill = base.mark_rect(fillOpacity=0.35, cornerRadius=3, strokeWidth=0).encode(
        color=alt.Color(
            "tone:N",
            legend=None,
            scale=alt.Scale(domain=list(tones), range=list(tones.values())),
        )
    )
    text = base.mark_text(fontSize=12, color=colours["text"]).encode(text="text:N")
    chart: alt.LayerChart = alt.LayerChart(
        layer=[fill, text],
        width=max(1, len(labels)) * width,
        height=len(methods) * height,
        title=title(
            f"{FIGURE_WORDS[analysis.figure].split(',')[0].capitalize()},"
            f" as a multiple of {_reference(analysis)}"
        ),
    )
    return chart


def _tone(value: float) -> str:
    return "good" if value <= _GOOD else "bad" if value >= _BAD else "fair"


def _reference(analysis: Analysis) -> str:
    if any(case.oracle for case in analysis.cases):
        return "the best fixed moment\u2019s"
    return f"that of {analysis.cases[0].reference}"


def _panel(
    case: Case, analysis: Analysis, labels: Mapping[str, str], colours: Mapping[str, str]
) -> "alt.LayerChart":
    """Show one scenario: a bar for each method, and how well it is known."""
    import altair as alt

    bars, spans = [], []
    for row in case.rows:
        estimate: Estimate | None = getattr(row, analysis.figure)
        if estimate is None:
            continue
        spans.append({"method": row.method, "low": estimate.low, "high": estimate.high})
        bars += _segments(row, analysis, estimate)
    methods = [row.method for row in case.rows]
    kinds = {"time x price": colours["time"], "guest-seconds lost": colours["lost"]}
    if analysis.figure != "cost":
        kinds = {FIGURE_WORDS[analysis.figure]: colours["time"]}
    y = alt.Y("method:N", sort=methods, title=None, axis=names())
    bar = (
        alt.Chart(alt.InlineData(values=bars))
        .mark_bar(height={"band": 0.72}, strokeWidth=0)
        .encode(
            y=y,
            x=alt.X(
                "value:Q",
                stack="zero",
                title=FIGURE_WORDS[analysis.figure],
                axis=alt.Axis(tickCount=5, domain=False),
            ),
            order="order:Q",
            opacity=alt.condition("datum.given_up", alt.value(0.45), alt.value(1)),
            color=alt.Color(
                "kind:N",
                title=None,
                scale=alt.Scale(domain=list(kinds), range=list(kinds.values())),
                legend=alt.Legend(orient="bottom", symbolType="square")
                if case is analysis.cases[0]
                else None,
            ),
        )
    )
    whisker = (
        alt.Chart(alt.InlineData(values=spans))
        .mark_rule(color=colours["text"], strokeWidth=1.4)
        .encode(y=y, x="low:Q", x2="high:Q")
    )
    chart: alt.LayerChart = alt.LayerChart(
        layer=[bar, whisker],
        width=PANEL_PIXELS[0],
        height=max(2, len(methods)) * PANEL_PIXELS[1],
        title=title(labels[case.scenario.name]),
    )
    return chart


def _segments(row: Row, analysis: Analysis, estimate: Estimate) -> list[dict[str, Any]]:
    """Return the parts of a bar; of a cost, how much is time and how much is the guest's."""
    same = {"method": row.method, "given_up": bool(row.given_up)}
    if analysis.figure != "cost" or row.total is None:
        kind = FIGURE_WORDS[analysis.figure]
        return [{**same, "kind": kind, "value": estimate.value, "order": 0}]
    # The median of a sum is not that of its parts: time is drawn as it is, and the rest is lost.
    time = min(estimate.value, analysis.price * row.total.value)
    return [
        {**same, "kind": "time x price", "value": time, "order": 0},
        {**same, "kind": "guest-seconds lost", "value": estimate.value - time, "order": 1},
    ]
