"""``postcopy recover``: a post-copy that somebody left interrupted is brought to its end."""

import time

import click

from postcopy import policy as policies
from postcopy.cli import moves, session
from postcopy.cli.output import format_option, runs_async
from postcopy.cli.request import Request, hosts_options, recover_uri_option
from postcopy.errors import NotFoundError, UsageError
from postcopy.migration.conduct import Move
from postcopy.migration.journal import Journal
from postcopy.migration.recovery import Half

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
@recover_uri_option
@hosts_options
@click.option("--lab", default="default", show_default=True, help="The lab the guest is in.")
@format_option
@runs_async
async def recover(
    guest: str,
    destination: str | None,
    source_uri: str | None,
    peer_uri: str | None,
    recover_for: float | None,
    recover_uri: str | None,
    source_host: str | None,
    dest_host: str | None,
    lab: str,
    format_: str,
) -> None:
    """Bring the interrupted post-copy of GUEST to its end, whoever began it.

    Both hosts are looked at, both sides are brought to a pause, and connected again as soon as the
    path between them carries packets. Without --from, GUEST is a guest of a lab. DEST is taken from
    the journal if it was moved from here.
    """
    with session.claimed(guest), session.open_journal() as journal:
        if source_uri is not None and destination is None:
            destination = _destination(journal, guest, source_uri)
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
        )
        await _look(await moves.found(request), guest)
        move = await moves.found(request)
        run = journal.begin(
            guest=guest,
            source=move.source,
            destination=move.destination,
            policy=policies.spec_of(policy),
            driver=move.record(),
            started_at=time.time(),
        )
        outcome = await session.watch(
            move,
            policy,
            journal,
            run,
            downtime_limit=0.3,
            attach=True,
            format_=format_,
            recover_seconds=recover_for,
        )
        session.conclude(run, outcome, format_)


async def _look(move: Move, guest: str) -> None:
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


def _destination(journal: Journal, guest: str, source_uri: str) -> str:
    for run in journal.runs(guest, limit=1):
        if run.source == source_uri:
            return run.destination
    raise UsageError(
        f"where guest {guest!r} was going is not on record",
        hint="name the host: postcopy recover GUEST DEST --from URI",
    )
