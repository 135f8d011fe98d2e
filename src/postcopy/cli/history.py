"""``postcopy history`` and ``report``."""

import statistics
from datetime import UTC, datetime
from pathlib import Path

import click

from postcopy.cli import session
from postcopy.cli.forecasts import span
from postcopy.cli.output import format_option, print_data, print_table
from postcopy.migration.journal import Foreseen, Journal, Run
from postcopy.paths import state_dir
from postcopy.plan import Forecast, Score
from postcopy.units import format_seconds

__all__ = ["history", "report"]


@click.command()
@click.argument("guest", required=False)
@click.option("--run", "run_id", type=int, help="Show all that happened in one run.")
@click.option("--forecast", is_flag=True, help="Show how good the forecasts have been.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@format_option
def history(
    guest: str | None, run_id: int | None, forecast: bool, limit: int, format_: str
) -> None:
    """List the latest migrations, of GUEST or of all."""
    with session.open_journal() as journal:
        if forecast:
            runs = [journal.run(run_id)] if run_id is not None else journal.runs(guest, limit)
            _show_forecasts(journal, runs, format_)
            return
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


def _show_forecasts(journal: Journal, runs: list[Run], format_: str) -> None:
    found = [(run, foreseen) for run in runs for foreseen in journal.forecasts(run.id)]
    scores = [Score.from_dict(each.score) for _, each in found if each.score]
    data = {
        "forecasts": [
            {
                "run": run.id,
                "guest": run.guest,
                "policy": run.policy,
                **Forecast.from_dict(each.data).to_dict(),
                "total_seconds": run.outcome.total_seconds if run.outcome else None,
                "score": each.score,
            }
            for run, each in found
        ],
        "in_all": _in_all(scores),
    }

    def table() -> None:
        print_table(
            ("run", "guest", "policy", "made from", "expected", "came", "error", "in its interval"),
            [_forecast_row(run, each) for run, each in found],
        )
        summary = _in_all(scores)
        if summary["scored"]:
            error = summary["median_error"]
            wrong = "" if error is None else f" total time is wrong by {error:.1%} in the median,"
            click.echo(
                f"{summary['scored']} scored:{wrong} {summary['held']:.0%} lay in their 90 %"
                f" interval, and {summary['end_right']:.0%} said rightly how it would end"
            )

    print_data(data, format_, table)


def _forecast_row(run: Run, foreseen: Foreseen) -> tuple[object, ...]:
    made = Forecast.from_dict(foreseen.data)
    rated = Score.from_dict(foreseen.score) if foreseen.score else None
    error = rated.total_error if rated else None
    return (
        run.id,
        run.guest,
        run.policy,
        made.basis,
        span(made.outlook.total_seconds),
        format_seconds(run.outcome.total_seconds) if rated and run.outcome else "",
        f"{error:+.1%}" if error is not None else "",
        ("yes" if rated.total_held else "no") if rated else "",
    )


def _in_all(scores: list[Score]) -> dict[str, float | int | None]:
    errors = [abs(each.total_error) for each in scores if each.total_error is not None]
    count = len(scores)
    return {
        "scored": count,
        "median_error": statistics.median(errors) if errors else None,
        "held": sum(each.total_held for each in scores) / count if count else None,
        "end_right": sum(each.end_right for each in scores) / count if count else None,
    }


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
