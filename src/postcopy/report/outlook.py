"""A plan as a plot: what each method would come to, as far as is known."""

import math
from pathlib import Path
from typing import Any

from postcopy.errors import UsageError
from postcopy.forecast.outlook import Interval, Outlook
from postcopy.plan import Plan
from postcopy.units import format_seconds

__all__ = ["PLOT_KINDS", "outlook_spec", "write_plot"]

PLOT_KINDS = (".html", ".png", ".svg")
"""What a plot can be written as, by the ending of its name."""

_FIGURES = (
    ("total_seconds", "Total time, s"),
    ("guest_seconds_lost", "Guest-seconds lost, s"),
    ("longest_freeze_seconds", "Longest freeze, s"),
    ("risk_seconds", "Seconds on two hosts, s"),
)
_ADVISED, _OTHER = "#2f6fde", "#8a94a6"
_PANEL_PIXELS, _ROW_PIXELS = 300, 26


def write_plot(path: Path, plan: Plan, title: str) -> None:
    """Write the plot as a self-contained page or a picture, by the ending of the name.

    :raises UsageError: when it has another ending, or cannot be written.
    """
    if path.suffix not in PLOT_KINDS:
        raise UsageError(
            f"{path} is no kind of plot", hint=f"let its name end in {', '.join(PLOT_KINDS)}"
        )
    import vl_convert

    spec = outlook_spec(plan, title)
    if path.suffix == ".png":
        content: bytes = vl_convert.vegalite_to_png(spec, scale=2)
    elif path.suffix == ".svg":
        content = vl_convert.vegalite_to_svg(spec).encode()
    else:
        content = vl_convert.vegalite_to_html(spec, bundle=True).encode()
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}", hint="name a file in a directory that exists"
        ) from error


def outlook_spec(plan: Plan, title: str) -> dict[str, Any]:
    """Describe the plot as a Vega-Lite specification."""
    import altair as alt

    order = [each.method for each in plan.outlooks]
    panels = [_panel(plan, name, label, order) for name, label in _FIGURES]
    text = alt.TitleParams(title, subtitle=plan.reason, anchor="start", offset=12)
    chart = alt.concat(*panels, columns=2, spacing=24).properties(title=text)
    spec: dict[str, Any] = chart.configure(
        font="system-ui, sans-serif", view={"stroke": None}, background="white"
    ).to_dict()
    return spec


def _panel(plan: Plan, name: str, label: str, order: list[str]) -> Any:
    import altair as alt

    rows = [_row(each, getattr(each, name), plan.advice) for each in plan.outlooks]
    base = alt.Chart(alt.InlineData(values=rows))
    method = alt.Y("method:N", sort=order, title=None, scale=alt.Scale(domain=order), axis=_names())
    colour = alt.condition("datum.advised", alt.value(_ADVISED), alt.value(_OTHER))
    ends = base.transform_filter("datum.ends")
    bars = ends.mark_bar(height=7, opacity=0.35, cornerRadius=3).encode(
        x=alt.X("low:Q", title=None, scale=alt.Scale(zero=True)), x2="high:Q", y=method,
        color=colour,
    )  # fmt: skip
    dots = ends.mark_point(filled=True, size=70, opacity=1).encode(
        x="median:Q", y=method, color=colour
    )
    words = ends.mark_text(align="left", dx=9, dy=-9, fontSize=10).encode(
        x="median:Q", y=method, text="text:N", color=alt.value("#444")
    )
    never = (
        base.transform_filter("!datum.ends")
        .mark_text(align="left", dx=4, fontSize=11, fontStyle="italic")
        .encode(x=alt.value(0), y=method, text="text:N", color=alt.value("#a33"))
    )
    return alt.layer(bars, dots, words, never).properties(
        width=_PANEL_PIXELS,
        height=_ROW_PIXELS * len(order),
        title=alt.TitleParams(label, anchor="start", fontSize=12),
    )


def _names() -> Any:
    import altair as alt

    return alt.Axis(domain=False, ticks=False, labelLimit=220, labelPadding=8)


def _row(outlook: Outlook, interval: Interval, advice: str) -> dict[str, Any]:
    ends = math.isfinite(interval.median)
    high = interval.high if math.isfinite(interval.high) else interval.median
    text = format_seconds(interval.median) if ends else f"ends in {outlook.ends:.0%} of all cases"
    return {
        "method": outlook.method,
        "advised": outlook.method == advice,
        "ends": ends,
        "low": interval.low if ends else None,
        "median": interval.median if ends else None,
        "high": high if ends else None,
        "text": text,
    }
