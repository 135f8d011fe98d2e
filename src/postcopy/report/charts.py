"""The figure of one run: charts stacked on one time axis, described for Vega-Lite.

Colours are the page's CSS variables, so that one figure serves light and dark; data is only named
here, and put in by the page, which holds it once.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from postcopy.migration import Phase
from postcopy.report.timeline import Timeline

if TYPE_CHECKING:
    import altair as alt

__all__ = ["AXIS_PIXELS", "PHASES", "figure_spec"]

PHASES: Mapping[Phase, str] = {
    Phase.SETUP: "setup",
    Phase.PRECOPY: "pre-copy",
    Phase.SWITCHOVER: "switchover",
    Phase.POSTCOPY: "post-copy",
    Phase.PAUSED: "paused",
    Phase.RECOVERING: "recovering",
    Phase.UNKNOWN: "unknown",
}
"""The phases that can last, and what the page calls them."""

AXIS_PIXELS = 44
"""Room for the labels of every vertical axis: the same for all, so that the charts line up."""

_WIDTH_PIXELS = 640
"""Until the page sets the width that it has."""
_NARROWEST_NAMED_PIXELS = 66
"""A band narrower than this carries no name; the legend has it."""
_BYTES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("bytes", 1.0))


@dataclass(frozen=True, slots=True)
class _Panel:
    """One chart of the stack: which series it shows, and how."""

    title: str
    height: int
    series: tuple[str, ...]
    filled: bool
    curve: Literal["linear", "step"]
    labels: str
    """How an axis label is written: a Vega expression."""


def figure_spec(timeline: Timeline, domain: tuple[float, float]) -> dict[str, Any]:
    """Describe a run's figure as a Vega-Lite specification; not to be changed.

    It expects the datasets ``phases`` (phase, label, begin, end), ``marks`` (at, kind), and one of
    each series' name (at, value).

    :param domain: what the time axis spans, in seconds.
    """
    return _figure_spec(tuple(_panels(timeline)), domain, named=bool(timeline.spans))


# Describing a figure takes altair 0.2 s, and runs that are compared mostly look the same.
@functools.lru_cache(maxsize=16)
def _figure_spec(
    panels: tuple[_Panel, ...], domain: tuple[float, float], *, named: bool
) -> dict[str, Any]:
    import altair as alt

    charts = []
    if named:
        names = [_bands(domain), _names(domain)]
        strip = alt.LayerChart(layer=names, width=_WIDTH_PIXELS, height=20)
        charts.append(_with_time_axis(strip, domain, None))
    for number, panel in enumerate(panels):
        chart = alt.LayerChart(
            layer=[
                _bands(domain),
                *(_series(name, panel) for name in panel.series),
                _rules(),
            ],
            width=_WIDTH_PIXELS,
            height=panel.height,
            title=alt.TitleParams(panel.title, anchor="start", frame="group", offset=8),
        )
        under = number == len(panels) - 1
        charts.append(_with_time_axis(chart, domain, _time_axis(labels=under)))
    spec: dict[str, Any] = alt.vconcat(*charts, spacing=16).configure(**_look()).to_dict()
    return spec


def _panels(timeline: Timeline) -> list[_Panel]:
    panels = []
    if "remaining" in timeline.series:
        unit, labels = _bytes_axis(timeline, ("remaining",))
        title = f"Memory still to be sent, {unit}"
        panels.append(_Panel(title, 150, ("remaining",), True, "linear", labels))
    rates = tuple(name for name in ("bandwidth", "dirty_rate") if name in timeline.series)
    if rates:
        unit, labels = _bytes_axis(timeline, rates)
        words = {"bandwidth": "Bandwidth", "dirty_rate": "Dirty rate"}
        title = " and ".join(words[name] for name in rates).capitalize()
        panels.append(_Panel(f"{title}, {unit}/s", 110, rates, False, "linear", labels))
    if "progress" in timeline.series:
        labels = "format(datum.value, '~s')"
        title = "The guest\u2019s own progress, writes/s"
        panels.append(_Panel(title, 110, ("progress",), True, "step", labels))
    return panels


def _bytes_axis(timeline: Timeline, names: tuple[str, ...]) -> tuple[str, str]:
    """Return the unit that suits the greatest value, and how to write a label in it."""
    greatest = max(value for name in names for _, value in timeline.series[name])
    unit, size = next(((u, s) for u, s in _BYTES if greatest >= s), _BYTES[-1])
    return unit, f"format(datum.value / {size:.0f}, ',~f')"


def _series(name: str, panel: _Panel) -> "alt.Chart":
    import altair as alt

    chart = alt.Chart(alt.NamedData(name)).encode(
        x=alt.X("at:Q"),
        y=alt.Y(
            "value:Q",
            title=None,
            stack=False,  # two samples of one moment are no sum
            scale=alt.Scale(zero=True, nice=True),
            axis=alt.Axis(
                labelExpr=panel.labels,
                minExtent=AXIS_PIXELS,
                maxExtent=AXIS_PIXELS,
                tickCount=4,
                domain=False,
                ticks=False,
            ),
        ),
    )
    colour = f"var(--{name})"
    layer: alt.Chart
    if panel.filled:
        line = alt.OverlayMarkDef(color=colour, strokeWidth=1.6)
        layer = chart.mark_area(
            line=line, color=colour, fillOpacity=0.16, interpolate=panel.curve, clip=True
        )
    else:
        dash = [5, 3] if name == "dirty_rate" else [1, 0]
        layer = chart.mark_line(
            color=colour, strokeWidth=1.8, strokeDash=dash, interpolate=panel.curve, clip=True
        )
    return layer


def _bands(domain: tuple[float, float]) -> "alt.Chart":
    """Shade the phases."""
    import altair as alt

    phases = list(PHASES)
    colour = alt.Color(
        "phase:N",
        legend=None,
        scale=alt.Scale(domain=phases, range=[f"var(--phase-{phase})" for phase in phases]),
    )
    layer: alt.Chart = (
        alt.Chart(alt.NamedData("phases"))
        .mark_rect(clip=True, strokeWidth=0)
        .encode(x=alt.X("begin:Q", scale=_time_scale(domain)), x2="end:Q", color=colour)
    )
    return layer


def _names(domain: tuple[float, float]) -> "alt.Chart":
    """Write its name into each band of the strip on top that has the room."""
    import altair as alt

    begin, end = domain
    pixels = f"((datum.end - datum.begin) / {end - begin} * width)"
    layer: alt.Chart = (
        alt.Chart(alt.NamedData("phases"))
        .mark_text(
            align="left",
            baseline="middle",
            dx=6,
            fontSize=11,
            fontWeight=600,
            color="var(--text)",
            clip=True,
            opacity=alt.ExprRef(f"{pixels} < {_NARROWEST_NAMED_PIXELS} ? 0 : 1"),
        )
        .encode(x=alt.X("begin:Q"), y=alt.value(10), text="label:N")
    )
    return layer


def _rules() -> "alt.Chart":
    """Mark the ends of passes, and what was done."""
    import altair as alt

    kinds = ["pass", "switch", "cancel"]
    layer: alt.Chart = (
        alt.Chart(alt.NamedData("marks"))
        .mark_rule(clip=True)
        .encode(
            x=alt.X("at:Q"),
            color=alt.Color(
                "kind:N",
                legend=None,
                scale=alt.Scale(domain=kinds, range=[f"var(--mark-{kind})" for kind in kinds]),
            ),
            strokeDash=alt.StrokeDash(
                "kind:N",
                legend=None,
                scale=alt.Scale(domain=kinds, range=[[2, 3], [1, 0], [7, 3]]),
            ),
            strokeWidth=alt.condition("datum.kind == 'pass'", alt.value(1), alt.value(2)),
        )
    )
    return layer


def _with_time_axis(
    chart: "alt.LayerChart", domain: tuple[float, float], axis: "alt.Axis | None"
) -> "alt.LayerChart":
    for layer in chart.layer:
        layer.encoding.x.axis = axis
        layer.encoding.x.scale = _time_scale(domain)
    resolved: alt.LayerChart = chart.resolve_scale(color="independent")
    return resolved


def _time_axis(*, labels: bool) -> "alt.Axis":
    import altair as alt

    return alt.Axis(
        title="seconds since the start of the run" if labels else None,
        labels=labels,
        ticks=labels,
        labelFlush=True,
        labelOverlap=True,
        tickCount=alt.ExprRef("max(3, ceil(width / 90))"),
    )


def _time_scale(domain: tuple[float, float]) -> "alt.Scale":
    import altair as alt

    return alt.Scale(domain=list(domain), nice=False, zero=False)


def _look() -> dict[str, Any]:
    quiet = {"labelColor": "var(--muted)", "titleColor": "var(--muted)", "labelFontSize": 11}
    axis = {**quiet, "titleFontSize": 11, "titleFontWeight": "normal", "titlePadding": 8}
    lines = {"gridColor": "var(--grid)", "tickColor": "var(--line)", "domainColor": "var(--line)"}
    return {
        "aria": False,  # the page says in words what the figure shows
        "background": "transparent",
        "font": "system-ui, sans-serif",
        "padding": {"left": 0, "right": 8, "top": 2, "bottom": 2},
        "view": {"stroke": None},
        "axis": {**axis, **lines},
        "title": {"color": "var(--text)", "fontSize": 13, "fontWeight": 600},
    }
