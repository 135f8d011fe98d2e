"""``postcopy bench faults``."""

import random
from pathlib import Path

import click

from postcopy.bench.faults.campaign import Campaign, Result, read_plan, to_dict
from postcopy.bench.faults.execute import BOUND_SECONDS
from postcopy.bench.faults.figures import Row, Spread, Summary, summarize
from postcopy.bench.faults.floors import FLOORS, make_floor
from postcopy.bench.faults.judge import Fate
from postcopy.bench.faults.model import RunPlan
from postcopy.bench.faults.plan import plan_run
from postcopy.cli.lab import progress
from postcopy.cli.output import format_option, print_data, print_table, runs_async
from postcopy.errors import NotFoundError, UsageError
from postcopy.units import format_seconds

__all__ = ["faults"]


@click.command()
@click.option(
    "--runs",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="How many, on each floor.",
)
@click.option("--seed", type=int, help="What all chance follows from; a random one if not said.")
@click.option(
    "--floor",
    "names",
    type=click.Choice(list(FLOORS)),
    multiple=True,
    help="What moves the guests; may be given several times.  [default: all]",
)
@click.option(
    "--run", "only", type=click.IntRange(1), metavar="K", help="Only run number K of the seed."
)
@click.option(
    "--replay",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Do once more what the plan of an earlier run says: its directory, or the file.",
)
@click.option("--resume", is_flag=True, help="Go on with the last campaign that is not finished.")
@click.option("--fresh", is_flag=True, help="Begin anew, where the same command would go on.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    help="Labs side by side. They share this machine: figures of time suffer.",
)
@click.option(
    "--bound",
    type=click.FloatRange(min=1),
    default=BOUND_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long a run may take besides its faults.",
)
@click.option(
    "--lab",
    default="bench-faults",
    show_default=True,
    help="What its labs are called, with a number. Such labs are taken down first.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be broken, and when.")
@format_option
@runs_async
async def faults(
    runs: int,
    seed: int | None,
    names: tuple[str, ...],
    only: int | None,
    replay: Path | None,
    resume: bool,
    fresh: bool,
    jobs: int,
    bound: float,
    lab: str,
    dry_run: bool,
    format_: str,
) -> int:
    """Move guests while links, daemons and commands break, and say what became of the guests.

    Each run boots a guest, has `postcopy migrate` move it, and breaks one thing or several, at
    random moments. Everything follows from the seed. A campaign that was killed is gone on with by
    the same command; each run's plan, journal and logs are kept.

    Exit code 0 only if no guest was lost, doubled, corrupted or stuck that need not have been.
    """
    if dry_run:
        plans = _plans(runs, seed, names, only, replay)
        print_data([plan.to_dict() for plan in plans], format_, lambda: _print_plans(plans))
        return 0
    campaign = _campaign(runs, seed, names, only, replay, resume=resume, fresh=fresh)
    total = len(campaign.plans)
    with progress() as stage:
        stage(f"{total} runs, {len(campaign.left)} of them to do, in {campaign.directory}")

        def done(result: Result) -> None:
            count = total - len(campaign.left)
            stage(f"[{count}/{total}] {result.plan.name}: {_told(result)}")

        for name in dict.fromkeys(plan.floor for plan in campaign.plans):
            labs = [f"{lab}-{number}" for number in range(1, jobs + 1)]
            floors = [make_floor(name, one) for one in labs]
            await campaign.run(floors, bound=bound, progress=stage, done=done)
    results = campaign.results()
    summary = summarize(results)
    data = {"directory": str(campaign.directory), **summary.to_dict(), "runs": to_dict(results)}
    print_data(data, format_, lambda: _print(summary, results, campaign.directory))
    return 1 if summary.failed or summary.untried else 0


def _plans(
    runs: int, seed: int | None, names: tuple[str, ...], only: int | None, replay: Path | None
) -> list[RunPlan]:
    if replay is not None:
        if only is not None or seed is not None or names:
            raise UsageError(
                "--replay goes without --seed, --floor and --run",
                hint="the plan of the earlier run says all of that",
            )
        return [read_plan(replay)]
    if only is not None and seed is None:
        raise UsageError("--run K goes with --seed S", hint="a run is known by both")
    seed = random.randrange(1 << 31) if seed is None else seed
    numbers = [only] if only is not None else range(1, runs + 1)
    return [
        plan_run(seed, number, name, FLOORS[name].kinds)
        for name in dict.fromkeys(names or FLOORS)
        for number in numbers
    ]


def _campaign(
    runs: int,
    seed: int | None,
    names: tuple[str, ...],
    only: int | None,
    replay: Path | None,
    *,
    resume: bool,
    fresh: bool,
) -> Campaign:
    if resume:
        found = Campaign.unfinished()
        if found is None:
            raise NotFoundError("no campaign is unfinished", hint="begin one: leave --resume out")
        return found
    plans = _plans(runs, seed, names, only, replay)
    return (None if fresh else Campaign.unfinished(plans)) or Campaign.begin(plans)


def _told(result: Result) -> str:
    ruling = result.ruling
    fate = f"{ruling.fate}, which could not be helped" if ruling.unavoidable else str(ruling.fate)
    return f"{fate} in {format_seconds(result.seconds)}" + (f": {ruling.why}" if ruling.why else "")


def _print_plans(plans: list[RunPlan]) -> None:
    for plan in plans:
        click.echo(str(plan))


def _print(summary: Summary, results: list[Result], directory: Path) -> None:
    bad: list[Fate] = [
        fate for fate in Fate if fate in summary.fates and fate not in (Fate.MOVED, Fate.STAYED)
    ]
    columns = (
        "floor", "what broke", "runs", "moved", "stayed", *bad, "not to be helped",
        "noticed: median, 95 %", "back: median, 95 %",
    )  # fmt: skip
    print_table(columns, [_row(row, bad) for row in summary.rows])
    for result in results:
        if not result.ruling.good:
            click.echo(f"{result.plan}\n    {_told(result)}\n    {result.directory}")
    if summary.by_hand:
        click.echo(f"A command gave up, and another was started: {', '.join(summary.by_hand)}")
    click.echo(
        f"Connections taken for dead that were not: {summary.false_alarms}."
        f" Faults whose moment never came: {summary.not_reached}. All is kept in {directory}"
    )


def _row(row: Row, bad: list[Fate]) -> list[object]:
    counts = [row.fates.get(fate, 0) for fate in (Fate.MOVED, Fate.STAYED, *bad)]
    what = row.kind or "all"
    return [row.floor, what, row.runs, *counts, row.unavoidable, _spread(row.noticed),
            _spread(row.back)]  # fmt: skip


def _spread(spread: Spread) -> str:
    if spread.median is None or spread.p95 is None:
        return "-"
    return f"{spread.median:.2f} s, {spread.p95:.2f} s ({spread.count})"
