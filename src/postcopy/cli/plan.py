"""``postcopy plan``."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from postcopy.cli import ends, session
from postcopy.cli.forecasts import keep_plan, span
from postcopy.cli.output import format_option, print_data, print_table, runs_async
from postcopy.cli.request import adaptive_options, find_policy, parse_bandwidth
from postcopy.errors import JournalError, UsageError
from postcopy.forecast.curve import Curve, HotSet
from postcopy.forecast.fit import fit
from postcopy.forecast.inputs import Dirtying, Inputs, Known
from postcopy.forecast.model import PAYLOAD
from postcopy.plan import Plan, make_plan
from postcopy.plan.measured import WATCH_SECONDS, Measured
from postcopy.plan.methods import Offers
from postcopy.policy import Adaptive
from postcopy.units import format_bytes, format_rate, parse_bytes

__all__ = ["plan"]

_GIVEN_FACTOR = 1.05


@click.command()
@click.argument("guest", required=False)
@click.argument("destination", metavar="[DEST]", required=False)
@click.option("--from", "source_uri", metavar="URI", help="libvirt: where GUEST is now.")
@click.option(
    "--qmp", type=click.Path(path_type=Path), help="QEMU: the QMP socket of the guest, if bare."
)
@click.option("--lab", default="default", show_default=True, help="The lab the guest is in.")
@click.option("--bandwidth", metavar="RATE", help="Of the link: 10gbit, or MiB/s.")
@click.option(
    "--probe/--no-probe",
    default=True,
    help="Send to DEST for half a second, to see what the way carries; the default.",
)
@click.option(
    "--watch", type=click.FloatRange(WATCH_SECONDS, 600), default=WATCH_SECONDS,
    show_default=True, metavar="SECONDS",
    help="How long to watch GUEST: longer than it rests at a time, to see that.",
)  # fmt: skip
@click.option("--memory", metavar="SIZE", help="Without a guest: its memory, as 64GiB.")
@click.option("--content", metavar="SIZE", help="Without a guest: how much of it is in use.")
@click.option(
    "--dirty",
    metavar="SIZE@RATE",
    multiple=True,
    help="Without a guest: it rewrites SIZE at RATE, as 4GiB@500MB/s. May be given several times.",
)
@click.option("--disk", metavar="SIZE", help="Disks that are copied along.")
@click.option("--page-size", metavar="SIZE", default="4KiB", show_default=True)
@click.option(
    "--downtime", type=float, default=0.3, show_default=True, metavar="SECONDS",
    help="How long the guest may stand still at a pre-copy switchover.",
)  # fmt: skip
@adaptive_options
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a plot: .html, .png, .svg.",
)
@format_option
@runs_async
async def plan(
    guest: str | None,
    destination: str | None,
    source_uri: str | None,
    qmp: Path | None,
    lab: str,
    bandwidth: str | None,
    probe: bool,
    watch: float,
    memory: str | None,
    content: str | None,
    dirty: tuple[str, ...],
    disk: str | None,
    page_size: str,
    downtime: float,
    plot: Path | None,
    format_: str,
    **bounds: float | None,
) -> None:
    """Forecast how GUEST would move to DEST by each method, recommend one, and say why.

    The guest is watched for some seconds, in a way that does not disturb it; nothing is moved.
    Without a guest, the figures are given: --memory, --dirty, --bandwidth.
    """
    adaptive = find_policy("adaptive", bounds)
    assert isinstance(adaptive, Adaptive)
    rate = parse_bandwidth(bandwidth) if bandwidth else None
    if guest is None:
        measured, dirtying = _given(memory, content, dirty)
        where = ""
    else:
        if memory or content or dirty:
            raise UsageError(
                "--memory, --content and --dirty describe a guest that is not there",
                hint="leave them out: a guest is measured; or leave GUEST out",
            )
        where = destination or ""
        with _progress(format_) as progress:
            measured = await ends.measure(guest, source_uri, qmp, lab, progress, watch)
        dirtying = fit(measured.seen, measured.memory_bytes, measured.resolution_bytes)
    way = await _way(rate, guest, where, source_uri, lab, try_it=probe and bool(where))
    inputs = Inputs(
        memory_bytes=measured.memory_bytes,
        content=measured.content,
        dirtying=dirtying,
        bandwidth=way.bandwidth,
        round_trip=way.round_trip or Known(2e-4, 2.0),
        downtime_limit=downtime,
        disk_bytes=parse_bytes(disk) if disk else 0,
        page_bytes=parse_bytes(page_size),
    )
    notes = (*measured.notes, f"bandwidth: {way.basis}")
    made = make_plan(inputs, adaptive=adaptive, offers=measured.offers, notes=notes)
    if guest is not None:
        # A journal that cannot be written costs the score of this forecast, and no more.
        with contextlib.suppress(JournalError), session.open_journal() as journal:
            keep_plan(journal, guest, where, made)
    if plot is not None:
        from postcopy.report.outlook import write_plot

        write_plot(plot, made, f"Moving {guest}" if guest else "Moving such a guest")
    names = {"guest": guest, "destination": destination}
    print_data({**names, **made.to_dict()}, format_, lambda: _print(made, guest, where))


def _given(
    memory: str | None, content: str | None, dirty: tuple[str, ...]
) -> tuple[Measured, Dirtying]:
    if memory is None:
        raise UsageError(
            "there is no guest to be measured, and no --memory",
            hint="postcopy plan GUEST DEST, or postcopy plan --memory 64GiB --dirty 4GiB@500MB/s"
            " --bandwidth 10gbit",
        )
    size = parse_bytes(memory)
    used = parse_bytes(content) if content else size
    if used > size:
        raise UsageError(f"--content {content} is more than --memory {memory}", hint="lower it")
    sets = tuple(_hot_set(text) for text in dirty)
    if sum(each.size_bytes for each in sets) > used:
        raise UsageError(
            "the sets of --dirty are more than the guest has in use",
            hint="lower them, or raise --content",
        )
    measured = Measured(
        memory_bytes=size,
        content=Known(float(used), _GIVEN_FACTOR if content else 1.0),
        seen=(),
        resolution_bytes=0.0,
        offers=Offers(),
    )
    return measured, Dirtying(((Curve(sets), 1.0),), factor=_GIVEN_FACTOR)


def _hot_set(text: str) -> HotSet:
    size, at, rate = text.partition("@")
    if not at or not rate.endswith("/s"):
        raise UsageError(
            f"{text!r} does not say how a guest writes", hint="write SIZE@RATE, as 4GiB@500MB/s"
        )
    return HotSet(float(parse_bytes(size)), float(parse_bytes(rate.removesuffix("/s"))))


async def _way(
    rate: int | None,
    guest: str | None,
    destination: str,
    source_uri: str | None,
    lab: str,
    *,
    try_it: bool,
) -> ends.WayKnown:
    """Return what is known of the link, or was given."""
    if rate is not None:
        return ends.WayKnown(Known(rate * PAYLOAD, _GIVEN_FACTOR), "as given")
    if guest is not None:
        known = await ends.way(guest, destination, source_uri, lab, try_it=try_it)
        if known is not None:
            return known
    raise UsageError(
        "nothing is known of the link's bandwidth",
        hint="say it: --bandwidth 10gbit; after a first migration between two hosts it is known",
    )


@contextlib.contextmanager
def _progress(format_: str) -> Iterator[Callable[[str], None]]:
    if format_ != "table":
        yield lambda text: None
        return
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("measuring") as status:
        yield status.update


def _print(made: Plan, guest: str | None, destination: str) -> None:
    inputs = made.inputs
    found = (
        ("memory", format_bytes(inputs.memory_bytes)),
        ("of it in use", format_bytes(inputs.content.value)),
        ("bandwidth", format_rate(inputs.bandwidth.value)),
        *(
            (f"dirtied in {seconds:g} s", format_bytes(_dirtied(made, seconds)))
            for seconds in (1.0, 10.0)
        ),
        *(("note", note) for note in made.notes),
    )
    print_table(("", ""), found)
    columns = ("method", "ends", "total time", "downtime", "longest freeze", "guest-s lost",
               "sent", "s at risk", "cost")  # fmt: skip
    print_table(columns, [_row(each) for each in made.outlooks])
    click.secho(made.reason, bold=True)
    if guest is not None:
        click.echo(f"postcopy migrate {guest} {destination or 'DEST'} ... {made.options}")


def _dirtied(made: Plan, seconds: float) -> float:
    return sum(weight * curve(seconds) for curve, weight in made.inputs.dirtying.curves)


def _row(each: Any) -> tuple[str, ...]:
    return (
        each.method,
        f"{each.ends:.0%}",
        span(each.total_seconds),
        span(each.downtime_seconds),
        span(each.longest_freeze_seconds),
        span(each.guest_seconds_lost),
        span(each.transferred_bytes, format_bytes),
        span(each.risk_seconds),
        span(each.cost, lambda value: f"{value:.2f}"),
    )
