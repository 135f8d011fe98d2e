"""``postcopy recover``: a post-copy that somebody left interrupted is brought to its end."""

import os
from dataclasses import replace

import click

from postcopy import policy as policies
from postcopy.cli import moves, session
from postcopy.cli.identity import identity
from postcopy.cli.output import format_option, print_data, print_table, runs_async
from postcopy.cli.request import Request, hosts_options, recover_uri_option
from postcopy.errors import NotFoundError, UsageError
from postcopy.migration.conduct import Move
from postcopy.migration.journal import Journal
from postcopy.migration.recovery import Half, Look, next_step

__all__ = ["recover"]

_UNDER_WAY = frozenset({Half.ACTIVE, Half.PAUSED, Half.CONNECTING, Half.HUNG})


@click.command()
@click.argument("guest")
@click.argument("destination", metavar="[DEST]", required=False)
@click.option("--from", "source_uri", metavar="URI", help="libvirt: the host that GUEST leaves.")
@click.option("--peer-uri", metavar="URI", help="libvirt: DEST as the source reaches it.")
@click.option(
    "--recover-for",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long to try; for ever if not said: giving up loses the guest.",
)
@click.option("--dry-run", is_flag=True, help="Look, and say what would be done; change nothing.")
@recover_uri_option
@hosts_options
@click.option(
    "--os-cloud",
    metavar="NAME",
    help="Nova: the cloud that GUEST is a server of, as clouds.yaml calls it.",
)
@click.option(
    "--source-uri",
    "libvirt_uri",
    metavar="URI",
    help="Nova: the libvirts of both compute hosts: qemu+ssh://{host}/system.",
)
@click.option(
    "--repair-records",
    is_flag=True,
    help="Nova: where it takes GUEST to be at the source after all, write its records right.",
)
@click.option(
    "--nova-database",
    metavar="HOST",
    help="Nova: a host whose nova.conf names Nova's database, for that: ssh://root@controller.",
)
@click.option(
    "--nova-conf",
    default="/etc/nova/nova.conf",
    show_default=True,
    metavar="PATH",
    help="Nova: the path of that nova.conf.",
)
@click.option("--lab", default="default", show_default=True, help="The lab the guest is in.")
@format_option
@runs_async
async def recover(
    guest: str,
    destination: str | None,
    source_uri: str | None,
    peer_uri: str | None,
    recover_for: float | None,
    dry_run: bool,
    recover_uri: str | None,
    source_host: str | None,
    dest_host: str | None,
    os_cloud: str | None,
    libvirt_uri: str | None,
    repair_records: bool,
    nova_database: str | None,
    nova_conf: str,
    lab: str,
    format_: str,
) -> None:
    """Bring the interrupted post-copy of GUEST to its end, whoever began it.

    Both hosts are looked at, both sides are brought to a pause, and connected again as soon as the
    path between them carries packets. With --os-cloud, GUEST is a server, which Nova is seen to
    know at its destination afterwards. Without that or --from, it is a guest of a lab. DEST is
    taken from the journal if GUEST was moved from here.
    """
    policy = policies.find("precopy")  # nothing is to be switched any more
    request = Request(
        guest=guest,
        destination=destination or "",
        policy=policy,
        lab=lab,
        bandwidth=None,
        downtime_limit=0.3,
        preempt=None,
        monitors=(None, None),
        rescues=(None, None),
        uri=None,
        recover_uri=recover_uri,
        hosts=(source_host, dest_host),
        source_uri=source_uri,
        peer_uri=peer_uri,
        libvirt={"postcopy": True},
        os_cloud=os_cloud or (os.environ.get("OS_CLOUD") if libvirt_uri else None),
        libvirt_uri=libvirt_uri,
    )
    if request.os_cloud is not None or moves.is_lab_server(request):
        from postcopy.cli.servers import RecordOptions, recover_server

        records = RecordOptions(repair=repair_records, host=nova_database, conf=nova_conf)
        await recover_server(
            request, records, recover_seconds=recover_for, dry_run=dry_run, format_=format_
        )
        return
    if libvirt_uri or repair_records or nova_database:
        raise UsageError(
            "--source-uri, --repair-records and --nova-database are for servers of a cloud",
            hint="name the cloud: --os-cloud NAME",
        )
    with session.open_journal() as journal:
        if source_uri is not None and destination is None:
            request = replace(request, destination=_destination(journal, guest, source_uri))
        of = await identity(request)
        with session.claimed(guest, of):
            look = await _look(await moves.found(request), guest)
            if dry_run:
                told = {"guest": guest, "seen": str(look), "next": str(next_step(look, cut=False))}
                print_data(told, format_, lambda: print_table(("", ""), list(told.items())))
                return
            await _recover(request, of, journal, recover_for, format_)


async def _recover(
    request: Request, of: str | None, journal: Journal, seconds: float | None, format_: str
) -> None:
    move = await moves.found(request)
    run = session.begin(journal, request, move, of)
    outcome = await session.watch(
        move,
        request.policy,
        journal,
        run,
        downtime_limit=request.downtime_limit,
        attach=True,
        format_=format_,
        recover_seconds=seconds,
    )
    session.conclude(run, outcome, format_)


async def _look(move: Move, guest: str) -> Look:
    """Make sure that there is something to recover, before anything is recorded or touched."""
    try:
        await move.driver.attach()
        rescue = move.driver.rescue
        look = await rescue.look() if rescue is not None else None
    finally:
        await move.settle()
    if look is None or look.source not in _UNDER_WAY or look.destination is Half.GONE:
        raise NotFoundError(
            f"guest {guest!r} is in no post-copy that could be recovered: {look}",
            hint="look where it is: virsh domstate --reason, on both hosts",
        )
    return look


def _destination(journal: Journal, guest: str, source_uri: str) -> str:
    for run in journal.runs(guest, limit=1):
        if run.source == source_uri:
            return run.destination
    raise UsageError(
        f"where guest {guest!r} was going is not on record",
        hint="name the host: postcopy recover GUEST DEST --from URI",
    )
