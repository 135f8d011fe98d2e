"""``postcopy bench compare``."""

import click

from postcopy.bench.analysis import FIGURES
from postcopy.bench.compare import Comparison, Side
from postcopy.bench.compare import compare as compare_sides
from postcopy.cli.output import format_option, print_data, print_table
from postcopy.units import format_bytes, format_seconds

__all__ = ["compare"]


@click.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "--by",
    "figure",
    type=click.Choice(list(FIGURES)),
    default="cost",
    show_default=True,
    help="What they are compared by.",
)
@click.option(
    "--price",
    type=click.FloatRange(min=0.0),
    help="Guest-seconds that a second is worth, for costs; the suite's own if not said.",
)
@format_option
def compare(a: str, b: str, figure: str, price: float | None, format_: str) -> None:
    """Compare A with B: METHOD@RECORD each, or a RECORD each.

    Methods of one record are compared pair by pair: both moved the same guest one after the other.
    A ratio is that of B to A, of the medians, with the interval that it lies in 19 times in 20.

        postcopy bench compare adaptive@peers nova-newton@peers

        postcopy bench compare quick quick-20260102-030405 --by freeze
    """
    found = compare_sides(Side.parse(a), Side.parse(b), figure, price)
    print_data(found.to_dict(), format_, lambda: _print(found))


def _print(found: Comparison) -> None:
    show = format_bytes if found.figure == "sent" else format_seconds
    print_table(
        ("scenario", "method", "A", "B", "B / A", "interval", "verdict"),
        [
            (
                pair.scenario,
                pair.method,
                show(pair.a),
                show(pair.b),
                f"{pair.bound} {pair.ratio.value:.2f}".strip(),
                f"{pair.ratio.low:.2f} to {pair.ratio.high:.2f}",
                pair.verdict,
            )
            for pair in found.pairs
        ],
        title=f"{found.figure}: A is {found.a}, B is {found.b}",
    )
    click.echo(found.verdict)
