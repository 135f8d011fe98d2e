"""``postcopy bench run``."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from postcopy.bench.analysis import Analysis, Case, Row, analyse
from postcopy.bench.bootstrap import Estimate
from postcopy.bench.compare import records_directory
from postcopy.bench.estimate import expected_seconds
from postcopy.bench.markdown import to_markdown
from postcopy.bench.page import times, write_pages
from postcopy.bench.record import Record
from postcopy.bench.runner import Progress, missing, prepare, run_suite
from postcopy.bench.suite import Suite, find_suite, suite_names
from postcopy.cli.output import (
    FORMATS,
    formats_option,
    print_data,
    print_table,
    progress,
    runs_async,
)
from postcopy.cli.signals import ended_by_sigterm
from postcopy.errors import UsageError
from postcopy.lab.lab import Lab
from postcopy.lab.status import LabState
from postcopy.units import format_bytes, format_seconds

__all__ = ["run"]


@click.command()
@click.argument("suite", required=False)
@click.option("--lab", "lab_name", default="bench", show_default=True, help="The lab to move in.")
@click.option("--keep", is_flag=True, help="Leave the lab up, also if this command brought it up.")
@click.option(
    "--repeats", type=click.IntRange(1, 1000), help="How often each method moves each guest."
)
@click.option("--only", metavar="TEXT", help="Only scenarios whose name has this in it.")
@click.option(
    "--record", "name", metavar="NAME", help="What the record is called; as the suite if not said."
)
@click.option("--fresh", is_flag=True, help="Begin anew; what is on record is put aside.")
@click.option("--dry-run", is_flag=True, help="Only say what would be run, and how long it takes.")
@formats_option(*FORMATS, "markdown")
@runs_async
async def run(
    suite: str | None,
    lab_name: str,
    keep: bool,
    repeats: int | None,
    only: str | None,
    name: str | None,
    fresh: bool,
    dry_run: bool,
    format_: str,
) -> int:
    """Measure SUITE: one that comes along, or a file of yours. Without it, list them.

    Each guest of the suite is booted in a lab, and moved by each method in turns. What its moves
    cost the guest is measured from the guest's own progress. Every run is on record as soon as it
    has ended: a command that was stopped goes on where it was, and one that is done shows its
    results again. Leaves a page and a picture. Needs root.

    Exit code 0 only if no run failed and every guest came through intact.
    """
    if suite is None:
        names = suite_names()
        print_data(names, format_, lambda: print_table(("suite", "what for"), names.items()))
        return 0
    wanted = _narrowed(find_suite(suite), repeats, only)
    path = records_directory() / f"{name or wanted.name}.jsonl"
    if dry_run:
        _print_plan(wanted, Record(path) if not fresh else Record(Path("/nonexistent")), format_)
        return 0
    if fresh and path.exists():
        _put_aside(path)
    record = Record(path, wanted.to_dict())
    if missing(wanted, record):
        await _measure(wanted, record, lab_name, keep=keep)
    planned = {each.key for each in wanted.runs}
    runs = wanted.in_order(each for each in record.runs if each.key in planned)
    analysis = analyse(runs, wanted.price, wanted.figure)
    page, picture = write_pages(path.with_suffix(".html"), wanted, record.about, analysis)
    data = {
        "suite": wanted.to_dict(),
        "record": str(path),
        "page": str(page),
        "picture": str(picture),
        **analysis.to_dict(),
    }
    if format_ == "markdown":
        click.echo(to_markdown(wanted, record.about, analysis), nl=False)
    else:
        print_data(data, format_, lambda: _print(analysis, page, picture))
    return 0 if analysis.sound else 1


def _narrowed(suite: Suite, repeats: int | None, only: str | None) -> Suite:
    if repeats is not None:
        suite = replace(suite, repeats=repeats)
    if only is not None:
        cases = tuple(case for case in suite.cases if only.lower() in case[0].name.lower())
        if not cases:
            has = "; ".join(scenario.name for scenario, _ in suite.cases)
            raise UsageError(
                f"no scenario of suite {suite.name} has {only!r} in its name", hint=f"it has: {has}"
            )
        suite = replace(suite, cases=cases)
    return suite


def _put_aside(path: Path) -> None:
    stamp = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y%m%d-%H%M%S")
    for suffix in (".jsonl", ".db", ".html", ".png"):
        old = path.with_suffix(suffix)
        if old.exists():
            old.rename(path.with_name(f"{path.stem}-{stamp}{suffix}"))


async def _measure(suite: Suite, record: Record, lab_name: str, *, keep: bool) -> None:
    lab = Lab(lab_name)
    with progress() as stage:
        was_up = (await lab.status()).state is LabState.UP
        await lab.up(progress=stage)
        with ended_by_sigterm():
            try:
                await prepare(missing(suite, record), stage)
                with _telling(stage) as tell:
                    await run_suite(lab, suite, record, tell)
            finally:
                if not (was_up or keep):
                    await lab.down(progress=stage)


@contextlib.contextmanager
def _telling(stage: Any) -> Iterator[Any]:
    began = time.monotonic()

    def tell(now: Progress) -> None:
        left = format_seconds(now.seconds_left)
        stage(f"[{now.done}/{now.total}] {now.text} ({left} to go)")

    yield tell
    stage(f"measured in {format_seconds(time.monotonic() - began)}")


def _print_plan(suite: Suite, record: Record, format_: str) -> None:
    runs = missing(suite, record)
    expected = expected_seconds(runs, suite.patience)
    data = {
        "suite": suite.to_dict(),
        "record": str(record.path),
        "done": len(suite.runs) - len(runs),
        "runs": [
            {
                "scenario": run.scenario.name,
                "method": run.method.text,
                "repeat": run.repeat,
                "expected_seconds": seconds,
            }
            for run, seconds in zip(runs, expected, strict=True)
        ],
        "expected_seconds": sum(expected),
    }

    def table() -> None:
        by_case: dict[str, list[float]] = {}
        for run, seconds in zip(runs, expected, strict=True):
            by_case.setdefault(run.scenario.name, []).append(seconds)
        print_table(
            ("scenario", "runs", "time"),
            [(name, len(each), format_seconds(sum(each))) for name, each in by_case.items()],
            title=f"suite {suite.name}: {suite.about}",
        )
        methods = dict.fromkeys(run.method.text for run in runs)
        click.echo(f"Methods: {', '.join(methods) or 'none'}")
        click.echo(
            f"{len(runs)} runs to do, {data['done']} on record; about"
            f" {format_seconds(sum(expected))} on this machine when it is quiet"
        )

    print_data(data, format_, table)


def _print(analysis: Analysis, page: Path, picture: Path) -> None:
    for case in analysis.cases:
        served = any(row.p99 for row in case.rows)
        columns = (*_COLUMNS, *(_ANSWERS if served else ()), "")
        rows = [_cells(case, row, served=served) for row in case.rows]
        print_table(columns, rows, title=case.scenario.name)
    print_table(
        ("method", "scenarios", "given up on", "median", "best", "worst"),
        [
            (
                each.method,
                each.scenarios,
                each.given_up or "",
                *map(times, (each.median, each.least, each.greatest)),
            )
            for each in analysis.summaries
        ],
        title=f"{analysis.figure} in all, as a multiple of the reference's",
    )
    if not analysis.sound:
        click.secho("Not every run succeeded with its guest intact:", fg="red", bold=True)
        for case in analysis.cases:
            for row in case.rows:
                for error in row.errors:
                    click.echo(f"  {case.scenario.name}: {row.method}: {error}")
    click.echo(f"Page: {page}\nPicture: {picture}")


_COLUMNS = (
    "method",
    "runs",
    "cost",
    "x reference",
    "total time",
    "longest freeze",
    "guest-seconds lost",
    "sent",
    "switch at",
)
_ANSWERS = ("p99 of answers", "before")


def _cells(case: Case, row: Row, *, served: bool) -> tuple[object, ...]:
    at_least = "> " if row.given_up else ""
    notes = [
        *(["oracle"] if row.method == case.oracle else []),
        *(["reference"] if row.method == case.reference != case.oracle else []),
        *([f"{row.given_up} given up"] if row.given_up else []),
        *([f"{row.failed} failed"] if row.failed else []),
        *([f"{row.wrong} NOT INTACT"] if row.wrong else []),
    ]
    switched = row.switched_after_seconds
    return (
        row.method,
        row.runs,
        at_least + _span(row.cost),
        at_least + (f"{row.ratio.value:.2f}" if row.ratio else "-"),
        at_least + _span(row.total),
        _span(row.freeze),
        at_least + _span(row.lost),
        format_bytes(row.sent.value) if row.sent else "-",
        format_seconds(switched) if switched is not None else "-",
        *((_span(row.p99), format_seconds(row.p99_before or 0.0)) if served else ()),
        ", ".join(notes),
    )


def _span(estimate: Estimate | None) -> str:
    return "-" if estimate is None else format_seconds(estimate.value)
