"""``postcopy history`` and ``report``."""

from datetime import UTC, datetime
from pathlib import Path

import click

from postcopy.cli import session
from postcopy.cli.output import format_option, print_data, print_table
from postcopy.migration.journal import Journal, Run
from postcopy.paths import state_dir
from postcopy.units import format_seconds

__all__ = ["history", "report"]


@click.command()
@click.argument("guest", required=False)
@click.option("--run", "run_id", type=int, help="Show all that happened in one run.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@format_option
def history(guest: str | None, run_id: int | None, limit: int, format_: str) -> None:
    """List the latest migrations, of GUEST or of all."""
    with session.open_journal() as journal:
        if run_id is not None:
            _show_run(journal, journal.run(run_id), format_)
            return
        runs = journal.runs(guest, limit)
    print_data(
        [run.to_dict() for run in runs],
        format_,
        lambda: print_table(
            ("run", "started", "guest", "from", "to", "policy", "outcome", "total time"),
            [_row(run) for run in runs],
        ),
    )


def _row(run: Run) -> tuple[object, ...]:
    ended = run.outcome
    return (
        run.id,
        datetime.fromtimestamp(run.started_at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        run.guest,
        run.source,
        run.destination,
        run.policy,
        ended.fate if ended else "not on record",
        format_seconds(ended.total_seconds) if ended else "",
    )


def _show_run(journal: Journal, run: Run, format_: str) -> None:
    events = journal.events(run.id)
    data = {
        **run.to_dict(),
        "events": [{"at": at, "kind": kind, "text": text} for at, kind, text in events],
        "samples": len(journal.samples(run.id)),
    }
    print_data(
        data,
        format_,
        lambda: print_table(
            ("time", "what", ""),
            [(format_seconds(at - run.started_at), kind, text) for at, kind, text in events],
            title=f"run {run.id}: {run.guest}, {run.source} -> {run.destination}, {run.policy}",
        ),
    )


@click.command()
@click.argument("run_id", metavar="RUN", type=int)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write the page; the state directory otherwise.",
)
def report(run_id: int, output: Path | None) -> None:
    """Write a self-contained page about RUN and print its path."""
    from postcopy.report import RunReport, write_page

    with session.open_journal() as journal:
        run = RunReport.from_journal(journal, run_id)
    path = output or state_dir() / "reports" / f"run-{run_id}.html"
    write_page(path, f"Run {run_id}", [run])
    click.echo(path)
