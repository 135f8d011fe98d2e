"""``postcopy bench faults``."""

import random
from dataclasses import replace
from pathlib import Path

import click

from postcopy.bench.faults.campaign import Campaign, Result, read_plan, to_dict
from postcopy.bench.faults.execute import Patience
from postcopy.bench.faults.figures import Row, Spread, Summary, summarize
from postcopy.bench.faults.floors import FLOORS, RIVALS, USUAL, make_floor, plans_for
from postcopy.bench.faults.judge import Fate
from postcopy.bench.faults.model import RunPlan
from postcopy.bench.faults.nova import NovaFloor
from postcopy.cli.output import format_option, print_data, print_table, progress, runs_async
from postcopy.errors import NotFoundError, UsageError
from postcopy.units import format_seconds

__all__ = ["faults"]

_HELPED, _UNHELPED = Patience(), Patience(bound=300.0)
_BY_NOVA = Patience(bound=300.0, ending=60.0)
"""How long guests may take before they are called stuck. Nova's parts look now and then only."""


@click.command()
@click.option(
    "--runs",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="How many, on each floor.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    help="What all chance follows from; by chance if not said.",
)
@click.option(
    "--floor",
    "names",
    type=click.Choice(list(FLOORS)),
    multiple=True,
    help="Where guests are moved; may be given several times.  [default: qemu and libvirt]",
)
@click.option(
    "--against",
    type=click.Choice(list(RIVALS)),
    multiple=True,
    help="Also do what befalls the libvirt floor to guests that this moves and nobody helps.",
)
@click.option(
    "--run", "only", type=click.IntRange(1), metavar="K", help="Only run number K of the seed."
)
@click.option(
    "--replay",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Do an earlier run once more: its directory, or the plan.json in it.",
)
@click.option("--resume", is_flag=True, help="Go on with the last campaign that is not finished.")
@click.option("--fresh", is_flag=True, help="Begin anew what was begun, or done, before.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    help="Labs side by side. They share this machine, and figures of time suffer.",
)
@click.option(
    "--bound",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help=f"How long a run may take besides its faults.  [default: {_HELPED.bound:.0f};"
    f" {_UNHELPED.bound:.0f} with nobody's help]",
)
@click.option(
    "--lab",
    default="bench-faults",
    show_default=True,
    help="What its labs are called, before a number. Labs of these names are taken down first.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be broken, and when.")
@format_option
@runs_async
async def faults(
    runs: int,
    seed: int | None,
    names: tuple[str, ...],
    against: tuple[str, ...],
    only: int | None,
    replay: Path | None,
    resume: bool,
    fresh: bool,
    jobs: int,
    bound: float | None,
    lab: str,
    dry_run: bool,
    format_: str,
) -> int:
    """Break links, daemons and commands while guests move, and say what became of the guests.

    Each run boots a guest, has `postcopy migrate` move it, and breaks one thing or several, at
    random moments. Everything follows from the seed. The same command goes on with a campaign that
    was stopped, and shows one again that is done; each run's plan, journal and logs are kept.

    Exit code 0 only if no guest was lost, doubled, corrupted or stuck that need not have been.
    """
    campaign = None
    if resume:
        campaign = Campaign.unfinished()
        if campaign is None:
            raise NotFoundError("no campaign is unfinished", hint="begin one: leave --resume out")
        plans = list(campaign.plans)
    else:
        plans = _plans(runs, seed, (*(names or (() if against else USUAL)), *against), only, replay)
    if dry_run:
        print_data([plan.to_dict() for plan in plans], format_, lambda: _print_plans(plans))
        return 0
    if campaign is None:
        campaign = (None if fresh else Campaign.of(plans)) or Campaign.begin(plans)
    results = await _run(campaign, lab, jobs, bound)
    summary = summarize(results)
    data = {"directory": str(campaign.directory), **summary.to_dict(), "runs": to_dict(results)}
    directory = campaign.directory
    print_data(data, format_, lambda: _print(summary, results, directory))
    return 1 if summary.failed or summary.untried else 0


async def _run(campaign: Campaign, lab: str, jobs: int, bound: float | None) -> list[Result]:
    total = len(campaign.plans)
    with progress() as stage:
        stage(f"{total} runs, {len(campaign.left)} of them to do, in {campaign.directory}")

        def done(result: Result) -> None:
            count = total - len(campaign.left)
            stage(f"[{count}/{total}] {result.plan.name}: {_told(result)}")

        for name in dict.fromkeys(plan.floor for plan in campaign.plans):
            floors = [make_floor(name, f"{lab}-{number}") for number in range(1, jobs + 1)]
            patience = _UNHELPED if name in RIVALS else _HELPED
            if name == NovaFloor.name:
                patience = _BY_NOVA
            if bound is not None:
                patience = replace(patience, bound=bound)
            await campaign.run(floors, patience, progress=stage, done=done)
    return campaign.results()


def _plans(
    runs: int, seed: int | None, names: tuple[str, ...], only: int | None, replay: Path | None
) -> list[RunPlan]:
    if replay is not None:
        if only is not None or seed is not None:
            raise UsageError(
                "--replay goes without --seed and --run",
                hint="the plan of the earlier run says all of that",
            )
        return [read_plan(replay)]
    if only is not None and seed is None:
        raise UsageError("--run K goes with --seed S", hint="a run is known by both")
    chosen = random.randrange(1 << 31) if seed is None else seed
    numbers = [only] if only is not None else range(1, runs + 1)
    return [plan for name in dict.fromkeys(names) for plan in plans_for(name, chosen, numbers)]


def _told(result: Result) -> str:
    ruling = result.ruling
    fate = f"{ruling.fate}, which could not be helped" if ruling.unavoidable else str(ruling.fate)
    return f"{fate} in {format_seconds(result.seconds)}" + (f": {ruling.why}" if ruling.why else "")


def _print_plans(plans: list[RunPlan]) -> None:
    for plan in plans:
        click.echo(str(plan))


def _print(summary: Summary, results: list[Result], directory: Path) -> None:
    good = (Fate.MOVED, Fate.STAYED)
    shown: list[Fate] = [*good, *(fate for fate in Fate if summary.fates.get(fate, 0))]
    shown = list(dict.fromkeys(shown))
    columns = (
        *("floor", "what broke", "runs", *shown, "not to be helped"),
        *("noticed: median, 95 %", "back: median, 95 %"),
    )
    print_table(columns, [_row(row, shown) for row in summary.rows])
    for result in results:
        if not result.ruling.good:
            click.echo(f"{result.plan}\n    {_told(result)}\n    {result.directory}")
    if summary.by_hand:
        click.echo(f"A command gave up, and another was started: {', '.join(summary.by_hand)}")
    click.echo(
        f"Connections broken off that were not dead: {summary.false_alarms}."
        f" Faults whose moment never came: {summary.not_reached}. All is kept in {directory}"
    )


def _row(row: Row, shown: list[Fate]) -> list[object]:
    counts = [row.fates.get(fate, 0) for fate in shown]
    times = (_spread(row.noticed), _spread(row.back))
    return [row.floor, row.kind or "all", row.runs, *counts, row.unavoidable, *times]


def _spread(spread: Spread) -> str:
    if spread.median is None or spread.p95 is None:
        return "-"
    return f"{spread.median:.2f} s, {spread.p95:.2f} s ({spread.count})"
