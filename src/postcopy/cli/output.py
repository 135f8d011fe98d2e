"""How results are printed, a table for people, JSON and YAML for programs; and the way there."""

import asyncio
import contextlib
import functools
import json
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar

import click

__all__ = [
    "FORMATS",
    "format_option",
    "formats_option",
    "print_data",
    "print_table",
    "progress",
    "runs_async",
]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("table", "json", "yaml")


def formats_option(*formats: str) -> Callable[[F], F]:
    """Return an option that chooses one of several formats; the first is the default."""
    return click.option(
        "-f",
        "--format",
        "format_",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="How to print the result.",
    )


format_option = formats_option(*FORMATS)


def runs_async(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    """Run a coroutine function as a plain click command."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        return asyncio.run(function(*args, **kwargs))

    return wrapper


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show stages as they come, with the time each began, on stderr."""
    started = time.monotonic()

    def show(stage: str) -> None:
        click.echo(f"[{time.monotonic() - started:6.1f} s] {stage}", err=True)

    yield show


def print_data(data: Any, format_: str, table: Callable[[], None]) -> None:
    """Print `data` in the chosen format; `table` prints it for people."""
    if format_ == "json":
        click.echo(json.dumps(data, indent=2, default=str))
    elif format_ == "yaml":
        import yaml

        click.echo(yaml.safe_dump(json.loads(json.dumps(data, default=str)), sort_keys=False))
    else:
        table()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Print rows as a table as wide as the terminal allows; without names, without a header."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        *columns,
        title=title or None,
        title_justify="left",
        header_style="bold",
        show_header=any(columns),
    )
    for row in rows:
        # Text, because a plain string's brackets would be read as markup.
        table.add_row(*(Text(str(cell)) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
