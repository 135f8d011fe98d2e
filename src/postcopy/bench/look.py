"""How the charts of benchmarks look: colours, axes, titles.

Colours are the page's CSS variables, which serve light and dark, or plain ones for a picture by
itself.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

__all__ = ["LIGHT", "PAGE", "PANEL_PIXELS", "look", "names", "title"]

PANEL_PIXELS = (330, 18)
"""The width of a chart of one scenario, and the height of a method in it."""

_NAMES = ("text", "muted", "line", "grid", "good", "bad", "time", "lost", "card")
PAGE: Mapping[str, str] = {name: f"var(--{name})" for name in _NAMES}
"""The page's colours."""
LIGHT: Mapping[str, str] = {
    "text": "#1b1d21",
    "muted": "#5b626d",
    "line": "#c9cdd3",
    "grid": "#e6e7e9",
    "good": "#00694b",
    "bad": "#a83c00",
    "time": "#56b4e9",
    "lost": "#c25100",
    "card": "#ffffff",
}
"""The same for paper."""


def names() -> "alt.Axis":
    """Return an axis of methods."""
    import altair as alt

    return alt.Axis(labelLimit=230, domain=False, ticks=False, labelPadding=6)


def title(text: str) -> "alt.TitleParams":
    """Return a chart's title."""
    import altair as alt

    return alt.TitleParams(text, anchor="start", frame="group", offset=8)


def look(colours: Mapping[str, str]) -> dict[str, Any]:
    """Return Vega-Lite's configuration."""
    quiet = {"labelColor": colours["muted"], "titleColor": colours["muted"], "labelFontSize": 11}
    lines = {"gridColor": colours["grid"], "tickColor": colours["line"]}
    return {
        "background": colours["card"],
        "font": "system-ui, DejaVu Sans, sans-serif",
        "padding": 14,
        "view": {"stroke": None},
        "axis": {**quiet, **lines, "titleFontSize": 11, "titleFontWeight": "normal"},
        "legend": {**quiet, "labelFontSize": 11},
        "title": {"color": colours["text"], "fontSize": 13, "fontWeight": 600},
    }
