"""What set-up would do, and what it did, as people and as programs read it; and asking first."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from postcopy.cli.output import print_data, print_table
from postcopy.errors import RefusedError
from postcopy.setup import Plan, Record, describe
from postcopy.setup.session import Proposal

__all__ = [
    "confirm",
    "print_outcome",
    "print_overrides",
    "print_plans",
    "print_records",
    "say",
    "told_how_to_undo",
    "undo_command",
]


def undo_command(record: Record) -> str:
    return f"postcopy setup --undo {record.id}"


def print_plans(proposal: Proposal, format_: str) -> None:
    from postcopy.setup.shown import plan_to_dict

    def table() -> None:
        for plan in proposal.plans:
            click.echo(f"host {plan.host}: {', '.join(plan.mends) or 'nothing that can be mended'}")
            for line in describe(plan):
                click.echo(_coloured(line))
        if proposal.empty:
            click.echo("nothing to do")

    print_data([plan_to_dict(plan) for plan in proposal.plans], format_, table)


def _coloured(line: str) -> str:
    colours = {"   +": "green", "   -": "red"}
    for start, colour in colours.items():
        if line.startswith(start) and not line.startswith((f"{start}++", f"{start}--")):
            return click.style(line, fg=colour)
    return line


def print_outcome(
    proposal: Proposal, record: Record, left: list[dict[str, Any]], format_: str
) -> None:
    mended = sorted(set(record.mends) - {one["id"] for one in left})

    def table() -> None:
        click.echo(f"mended: {', '.join(mended) or 'nothing'}")
        for one in left:
            click.echo(f"still wrong: {one['id']} of {one['subject']}: {one['saw']}")
        click.echo(f"to take it back: {undo_command(record)}")

    data = {
        "record": record.id,
        "mended": mended,
        "still_wrong": left,
        "left": [reason for plan in proposal.plans for reason in plan.left],
    }
    print_data(data, format_, table)


def print_overrides(kind: str, plans: Sequence[Plan], output: Path | None) -> None:
    from postcopy.setup.emit import emit

    files = emit(kind, plans)
    if not files:
        click.echo("nothing to do", err=True)
    for name, text in files.items():
        if output is None:
            click.echo(text if len(files) == 1 else f"# --- {name}\n{text}", nl=False)
        else:
            path = output / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            click.echo(path)


def print_records(format_: str) -> None:
    def when(record: Record) -> str:
        return datetime.fromtimestamp(record.created_at, UTC).astimezone().strftime("%F %T")

    records = Record.every()
    rows = [
        (one.id, when(one), ", ".join(one.hosts), one.state, ", ".join(one.mends))
        for one in records
    ]
    data = [
        {"id": one.id, "created_at": one.created_at, "hosts": list(one.hosts), "state": one.state,
         "mends": one.mends,
         "steps": [{"host": s.host, "what": str(s), "state": s.state} for s in one.steps]}
        for one in records
    ]  # fmt: skip
    columns = ("record", "written", "hosts", "state", "for")
    print_data(data, format_, lambda: print_table(columns, rows))


@contextlib.contextmanager
def told_how_to_undo(record: Record) -> Iterator[None]:
    """Say, if the block ends early, how to go on and how to take back what was done."""
    try:
        yield
    except BaseException:
        if record.stopped_at is not None:
            click.echo(
                f"stopped at step {record.stopped_at + 1} of {len(record.steps)}; run it again to"
                f" go on, or take it back: {undo_command(record)}",
                err=True,
            )
        raise


def confirm(question: str, yes: bool, more: str = "") -> None:
    """Ask before anything is changed.

    :raises RefusedError: when there is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise RefusedError(
            "nothing was changed: there is no terminal to ask at",
            hint="; ".join(filter(None, ["run it with --yes, or --dry-run to see the plan", more])),
        )
    if not click.confirm(question, err=True):
        raise click.Abort


def say(text: str) -> None:
    """Tell what is being done."""
    click.echo(text, err=True)
