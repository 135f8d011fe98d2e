"""``postcopy guest``: what a domain may need for its recovery."""

import difflib
import time

import click

from postcopy.cli.output import format_option, print_data, runs_async
from postcopy.cli.reach import lab_option, reach
from postcopy.errors import RefusedError

__all__ = ["guest"]


@click.group()
def guest() -> None:
    """Give a domain, or all that come to a host, what recovery may need."""


@guest.command()
@click.argument("domain")
@click.option("--from", "uri", required=True, metavar="URI", help="The libvirt host it is on.")
@click.option("--path", metavar="PATH", help="Of the socket; in /var/lib/libvirt/qemu if not said.")
@click.option("--undo", is_flag=True, help="Take the second monitor away again.")
@click.option("--apply", "apply_", is_flag=True, help="Do it; without, only the change is shown.")
@runs_async
async def prepare(domain: str, uri: str, path: str | None, undo: bool, apply_: bool) -> None:
    """Give DOMAIN a second QMP monitor, from its next start on.

    libvirt holds the first one. Over the second, an interrupted post-copy is recovered where
    libvirt itself cannot: 11.2 and 11.3 crash, and a QEMU that hangs answers nobody else.
    """
    import libvirt

    from postcopy.libvirt.connection import Connection
    from postcopy.libvirt.monitor import default_path, with_monitor, without_monitor

    connection = await Connection.open(uri)
    try:
        found = await connection.domain(domain)
        if not await connection.call(found.isPersistent):
            raise RefusedError(
                f"domain {domain!r} is not defined, only running: there is no next start to change",
                hint="change what it is created from; virsh dumpxml shows its definition",
            )
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
        before = await connection.call(found.XMLDesc, flags)
        after = (
            without_monitor(before) if undo else with_monitor(before, path or default_path(domain))
        )
        if after == before:
            click.echo(f"domain {domain} {'has no' if undo else 'has a'} second monitor already")
            return
        _show(before, after, domain)
        if not apply_:
            click.echo("nothing was changed; do it: --apply", err=True)
            return
        await connection.call(connection.handle.defineXML, after)
        running = await connection.call(found.isActive)
        when = "at its next start" if running else "when it starts"
        click.echo(f"domain {domain}: its definition was changed; it counts {when}", err=True)
    finally:
        await connection.close()


def _show(before: str, after: str, name: str) -> None:
    # A line around each change and no more: a definition may hold passwords.
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), name, name, lineterm="", n=1
    )
    click.echo("\n".join(lines))


@guest.command("prepare-host")
@click.argument("hosts", nargs=-1, required=True, metavar="HOST...")
@click.option("--dry-run", is_flag=True, help="Show what would be done; exit code 1 if anything.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@lab_option
@format_option
@runs_async
async def prepare_host(
    hosts: tuple[str, ...], dry_run: bool, yes: bool, lab: str, format_: str
) -> None:
    """Have whatever migrates to HOSTs arrive with a second monitor, by a hook of libvirt's.

    For guests whose definitions others write, as Nova does. It counts for a guest from its first
    migration on. HOST is what `postcopy check` takes. What is done is shown first, and recorded.
    """
    from postcopy.cli.changes import confirm, print_plans, say, told_how_to_undo, undo_command
    from postcopy.setup import alone, begin, go_on
    from postcopy.setup.arrival_hook import propose_hook
    from postcopy.setup.session import Proposal

    ways = {host.name: host for host in await reach(hosts, lab, None, None)}
    try:
        plans = [plan for host in ways.values() if not (plan := await propose_hook(host)).empty]
        if dry_run or not plans:
            print_plans(Proposal((), tuple(plans)), format_)
            if plans:
                raise click.exceptions.Exit(1)
            return
        if format_ == "table":
            print_plans(Proposal((), tuple(plans)), format_)
        confirm("do this?", yes)
        with alone():
            begun = await begin(plans, ways, time.time())
            with told_how_to_undo(begun.record):
                await go_on(begun, ways, say)
    finally:
        for host in ways.values():
            await host.close()
    data = {"record": begun.record.id, "hosts": [plan.host for plan in plans]}
    text = f"to take it back: {undo_command(begun.record)}"
    print_data(data, format_, lambda: click.echo(text))
