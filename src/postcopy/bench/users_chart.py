"""How long a server's users wait, before it moves and meanwhile: one chart a scenario."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from postcopy.bench.analysis import Case
from postcopy.bench.look import PANEL_PIXELS, names, title

if TYPE_CHECKING:
    import altair as alt

__all__ = ["users_panel"]

_WAITS_SECONDS = [0.0001, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0]
_SHAPES = {"p50": "circle", "p90": "square", "p99": "diamond", "p99.9": "cross", "max": "triangle"}


def users_panel(case: Case, label: str, colours: Mapping[str, str]) -> "alt.LayerChart":
    """Show how long a server's users waited while it moved, and before."""
    import altair as alt

    points = [
        {"method": row.method, "share": name, "seconds": seconds, "when": when}
        for row in case.rows
        if row.waits
        for when, waits in zip(("before", "during the move"), row.waits, strict=True)
        for name, seconds in waits.items()
    ]
    whens = {"before": colours["time"], "during the move": colours["lost"]}
    chart = (
        alt.Chart(alt.InlineData(values=points))
        .mark_point(size=46, filled=True, opacity=0.9)
        .encode(
            y=alt.Y("method:N", sort=[row.method for row in case.rows], title=None, axis=names()),
            yOffset=alt.YOffset("when:N", sort=list(whens)),
            x=alt.X(
                "seconds:Q",
                title="how long users wait for an answer, seconds",
                scale=alt.Scale(type="log"),
                axis=alt.Axis(values=_WAITS_SECONDS, domain=False, format="~g"),
            ),
            color=alt.Color(
                "when:N",
                title=None,
                scale=alt.Scale(domain=list(whens), range=list(whens.values())),
                legend=alt.Legend(orient="bottom"),
            ),
            shape=alt.Shape(
                "share:N",
                title=None,
                scale=alt.Scale(domain=list(_SHAPES), range=list(_SHAPES.values())),
                legend=alt.Legend(orient="bottom"),
            ),
        )
    )
    made: alt.LayerChart = alt.LayerChart(
        layer=[chart],
        width=PANEL_PIXELS[0],
        height=max(2, len(case.rows)) * 2 * PANEL_PIXELS[1],
        title=title(f"{label}: its users"),
    )
    return made
