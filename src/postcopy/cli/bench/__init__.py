"""``postcopy bench``: what is claimed, measured."""

import click

from postcopy.cli.lazy import LazyGroup

__all__ = ["bench"]

_COMMANDS = {
    "run": ("postcopy.cli.bench.run", "Move real guests by each method; what did it cost them?"),
    "compare": ("postcopy.cli.bench.compare", "Two methods or two records against each other."),
    "faults": (
        "postcopy.cli.bench.faults",
        "Break links, daemons and commands while guests move.",
    ),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def bench() -> None:
    """Many moves and many faults, measured in labs of their own."""
