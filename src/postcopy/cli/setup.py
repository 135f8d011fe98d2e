"""``postcopy setup``: what `postcopy check` finds wrong is mended, shown first, and undoable."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from postcopy.cli.changes import (
    confirm,
    print_outcome,
    print_overrides,
    print_plans,
    print_records,
    say,
    told_how_to_undo,
    undo_command,
)
from postcopy.cli.output import format_option, print_data, runs_async
from postcopy.cli.reach import inventory_option, lab_option, limit_option, reach
from postcopy.errors import UnavailableError, UsageError
from postcopy.hosts import HostAccess
from postcopy.setup import Begun, LostSecretError, Record, alone, begin, go_on, undo
from postcopy.setup.session import Proposal, propose, verify

if TYPE_CHECKING:
    from postcopy.setup.material import Material

__all__ = ["setup"]


@click.command()
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.option("--dry-run", is_flag=True, help="Show the plan, and change nothing.")
@click.option("--only", multiple=True, metavar="PATTERN", help="Of checks or fixes: nova.*.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--emit",
    "kind",
    type=click.Choice(["kolla", "osa", "ansible", "diff"]),
    help="Write overrides for a configuration management instead of changing anything.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="The directory for --emit; standard output without it.",
)
@click.option(
    "--authority",
    type=click.Path(path_type=Path, file_okay=False),
    help="The certificate authority, cacert.pem and cakey.pem; one of its own without it.",
)
@lab_option
@inventory_option
@limit_option
@click.option("--undo", "undone", metavar="RECORD", help="Take back what a record says was done.")
@click.option("--list", "listed", is_flag=True, help="List the records.")
@format_option
@runs_async
async def setup(
    hosts: tuple[str, ...],
    dry_run: bool,
    only: tuple[str, ...],
    yes: bool,
    kind: str | None,
    output: Path | None,
    authority: Path | None,
    lab: str,
    inventory: Path | None,
    limit: str | None,
    undone: str | None,
    listed: bool,
    format_: str,
) -> None:
    """Mend what `postcopy check` finds wrong on HOSTs (this machine without any).

    Shows every change first and asks; keeps a record of what it did, which --undo takes back to
    the very bytes. Running it again changes nothing. Exit code 1: something is still wrong.
    """
    if listed:
        print_records(format_)
    elif undone is not None:
        await _undo(undone, yes, format_)
    elif output is not None and kind is None:
        raise UsageError("--output is for --emit", hint="add --emit ansible, for example")
    else:
        wish = _Wish(dry_run, only, yes, kind, output, authority, lab, format_)
        async with _reached(hosts, lab, inventory, limit) as reached:
            with contextlib.nullcontext() if wish.looks else alone():
                await _set_up(reached, wish)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the command line says."""

    dry_run: bool
    only: Sequence[str]
    yes: bool
    kind: str | None
    output: Path | None
    authority: Path | None
    lab: str
    format: str

    @property
    def looks(self) -> bool:
        """Whether nothing is to be changed."""
        return self.dry_run or self.kind is not None


async def _set_up(hosts: Sequence[HostAccess], wish: _Wish) -> None:
    from postcopy.setup.fixes import all_fixes
    from postcopy.setup.material import Material

    for record in _stopped(hosts, wish.lab):
        await _pick_up(record, hosts, wish)
    material = Material(wish.authority)
    proposal = await propose(hosts, all_fixes(), wish.only, material=material.for_hosts)
    for finding in proposal.unreachable:
        raise UnavailableError(f"{finding.subject}: {finding.saw}", hint=finding.remedy)
    if wish.kind is not None:
        print_overrides(wish.kind, proposal.plans, wish.output)
    elif wish.dry_run or proposal.empty:
        print_plans(proposal, wish.format)
        if proposal.plans:
            raise click.exceptions.Exit(1)
    else:
        await _carry_out(proposal, hosts, material, wish)


async def _carry_out(
    proposal: Proposal, hosts: Sequence[HostAccess], material: "Material", wish: _Wish
) -> None:
    if wish.format == "table":
        print_plans(proposal, wish.format)
    plans = [plan for plan in proposal.plans if not plan.empty]
    confirm(f"do this on {', '.join(plan.host for plan in plans)}?", wish.yes)
    material.keep()
    ways = {host.name: host for host in hosts}
    begun = await begin(plans, ways, time.time(), wish.lab)
    with told_how_to_undo(begun.record):
        await go_on(begun, ways, say)
    left = await verify(proposal, hosts)
    print_outcome(proposal, begun.record, [finding.to_dict() for finding in left], wish.format)
    if left or any(plan.left for plan in proposal.plans):
        raise click.exceptions.Exit(1)


def _stopped(hosts: Sequence[HostAccess], lab: str) -> list[Record]:
    ours = {host.name for host in hosts}
    return [
        record
        for record in Record.every()
        if record.stopped_at is not None and ours & {*record.hosts} and record.lab == lab
    ]


async def _pick_up(record: Record, hosts: Sequence[HostAccess], wish: _Wish) -> None:
    """Say where an earlier run stopped, and go on from there."""
    at = record.stopped_at or 0
    click.echo(
        f"record {record.id} stopped at step {at + 1} of {len(record.steps)}:"
        f" {record.steps[at].host}: {record.steps[at]}",
        err=True,
    )
    if wish.looks:
        say(f"without --dry-run and --emit it goes on; or: {undo_command(record)}")
        return
    missing = set(record.hosts) - {host.name for host in hosts}
    if missing:
        raise UsageError(
            f"it was about {', '.join(sorted(missing))} too, and cannot go on without",
            hint=f"name all of {', '.join(record.hosts)}; or take it back: {undo_command(record)}",
        )
    confirm("go on from there?", wish.yes, f"or take it back: {undo_command(record)}")
    ways = {host.name: host for host in hosts}
    try:
        with told_how_to_undo(record):
            await go_on(Begun(record), ways, say)
    except LostSecretError as error:
        say(f"{error.message}: it is taken back, and planned anew")
        await undo(record, ways, say)


async def _undo(id_: str, yes: bool, format_: str) -> None:
    record = Record.load(id_)
    steps = [step for step in record.steps if step.state not in ("planned", "undone", "left")]
    if format_ == "table":
        for step in reversed(steps):
            click.echo(f"take back {step.host}: {step}")
    if steps:
        confirm("take this back?", yes)
    async with _reached(tuple(record.hosts), record.lab) as reached:
        with alone():
            left = await undo(record, {host.name: host for host in reached}, say)
    data = {"record": record.id, "state": record.state, "left": left}
    lines = left or [f"record {record.id} is undone"]
    print_data(data, format_, lambda: click.echo("\n".join(lines)))
    if left:
        raise click.exceptions.Exit(1)


@contextlib.asynccontextmanager
async def _reached(
    called: Sequence[str], lab: str, inventory: Path | None = None, limit: str | None = None
) -> AsyncIterator[list[HostAccess]]:
    hosts = await reach(tuple(called), lab, inventory, limit)
    try:
        yield hosts
    finally:
        await asyncio.gather(*(host.close() for host in hosts))
