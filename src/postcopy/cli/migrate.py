"""``postcopy migrate``."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from postcopy import policy as policies
from postcopy.cli import moves, session
from postcopy.cli.identity import identity
from postcopy.cli.output import format_option, print_data, print_table, runs_async
from postcopy.cli.request import (
    Request,
    adaptive_options,
    find_policy,
    hosts_options,
    libvirt_given,
    libvirt_options,
    nova_options,
    parse_bandwidth,
    qemu_options,
    recover_uri_option,
    recovery_options,
)
from postcopy.migration.conduct import Move
from postcopy.migration.journal import Journal, Run
from postcopy.migration.outcome import Outcome
from postcopy.units import format_rate, format_seconds

__all__ = ["carry", "migrate"]


@click.command()
@click.argument("guest")
@click.argument("destination", metavar="[DEST]", required=False)
@click.option(
    "--policy",
    default="adaptive",
    show_default=True,
    metavar="NAME[:KEY=VALUE,...]",
    help=f"When to switch: {', '.join(policies.POLICIES)}. What each does, and its parameters:"
    " postcopy policies.",
)
@click.option(
    "--bandwidth", metavar="RATE", help="The most to send before post-copy: 500mbit, or MiB/s."
)
@click.option(
    "--downtime",
    type=float,
    default=0.3,
    show_default=True,
    metavar="SECONDS",
    help="How long the guest may stand still at a pre-copy switchover.",
)
@click.option("--dry-run", is_flag=True, help="Check and say what would be done; move nothing.")
@format_option
@click.option("--lab", default="default", show_default=True, help="The lab the guest is in.")
@click.option(
    "--preempt/--no-preempt",
    default=None,
    help="QEMU: let requested pages overtake others, where both sides can; the default.",
)
@recovery_options
@recover_uri_option
@hosts_options
@adaptive_options
@nova_options
@libvirt_options
@qemu_options
@runs_async
async def migrate(
    guest: str,
    destination: str | None,
    policy: str,
    bandwidth: str | None,
    downtime: float,
    dry_run: bool,
    format_: str,
    lab: str,
    preempt: bool | None,
    source_uri: str | None,
    peer_uri: str | None,
    qmp: Path | None,
    dest_qmp: Path | None,
    rescue_qmp: Path | None,
    dest_rescue_qmp: Path | None,
    uri: str | None,
    recover: bool,
    recover_for: float | None,
    recover_uri: str | None,
    source_host: str | None,
    dest_host: str | None,
    price: float | None,
    deadline: float | None,
    max_freeze: float | None,
    max_risk: float | None,
    os_cloud: str | None,
    libvirt_uri: str | None,
    check_host: str | None,
    postcopy_permitted: bool,
    allow_pause: bool,
    **virsh: Any,
) -> None:
    """Move GUEST to DEST, switching to post-copy when the policy says so.

    With --from, GUEST is a libvirt domain and DEST a libvirt URI, as for virsh. With --os-cloud,
    GUEST is a server, and DEST a compute host as Nova calls it, or left to Nova's scheduler. With
    --qmp, --dest-qmp and --uri, any two QEMUs will do, and both names are only names. Without,
    GUEST is a guest of a lab and DEST one of its hosts. Options marked Nova, libvirt or QEMU are
    refused where they mean nothing.

    Ctrl-C calls the migration off while that is safe; once in post-copy it goes on without you.
    """
    bounds = {
        "price": price, "deadline": deadline, "max_freeze": max_freeze, "max_risk": max_risk,
    }  # fmt: skip
    request = Request(
        guest=guest,
        destination=destination or "",
        policy=find_policy(policy, bounds),
        lab=lab,
        bandwidth=parse_bandwidth(bandwidth) if bandwidth else None,
        downtime_limit=downtime,
        preempt=preempt,
        monitors=(qmp, dest_qmp),
        rescues=(rescue_qmp, dest_rescue_qmp),
        uri=uri,
        recover_uri=recover_uri,
        hosts=(source_host, dest_host),
        source_uri=source_uri,
        peer_uri=peer_uri,
        libvirt=libvirt_given(virsh),
        os_cloud=os_cloud,
        libvirt_uri=libvirt_uri,
        check_host=check_host,
        postcopy_permitted=postcopy_permitted,
        allow_pause=allow_pause,
    )
    request = moves.in_cloud(request, lab_given=_lab_given())
    if dry_run:
        await _plan(request, format_)
        return
    run, outcome = await carry(request, format_, recover=recover, recover_seconds=recover_for)
    session.conclude(run, outcome, format_)


Prepare = Callable[[Request, Journal], Awaitable[Move]]


async def carry(
    request: Request,
    format_: str,
    prepare: Prepare = moves.prepare,
    *,
    recover: bool = True,
    recover_seconds: float | None = None,
) -> tuple[Run, Outcome]:
    """Move a guest as asked for, shown as it goes, and return the run on record and its end.

    :param recover: whether to bring the guest's halves together again after a cut in post-copy.
    :param recover_seconds: for how long to try; as long as it takes if None.
    """
    of = await identity(request)
    # The journal first: if it cannot be written, nothing must have been begun.
    with session.claimed(request.guest, of), session.open_journal() as journal:
        move = await prepare(request, journal)
        run = session.begin(journal, request, move, of)
        outcome = await session.watch(
            move,
            request.policy,
            journal,
            run,
            downtime_limit=request.downtime_limit,
            recover=recover,
            recover_seconds=recover_seconds,
            attach=False,
            format_=format_,
        )
        if move.destination != run.destination:
            run = journal.lead_to(run.id, move.destination)  # Nova's scheduler has chosen
    return run, outcome


def _lab_given() -> bool:
    source = click.get_current_context().get_parameter_source("lab")
    return source is not click.core.ParameterSource.DEFAULT


async def _plan(request: Request, format_: str) -> None:
    """Say what would be done, after the checks that can be made without doing it."""
    checked = await moves.check(request)
    plan = {
        "guest": request.guest,
        "source": checked.source,
        "destination": request.destination or None,
        "policy": policies.spec_of(request.policy),
        "postcopy": request.policy.uses_postcopy,
        "bandwidth": request.bandwidth,
        "downtime_limit_seconds": request.downtime_limit,
        **checked.more,
    }
    shown = {
        **plan,
        "destination": request.destination or "as Nova's scheduler chooses",
        "bandwidth": format_rate(request.bandwidth) if request.bandwidth else "as the link allows",
        "downtime_limit_seconds": format_seconds(request.downtime_limit),
    }
    print_data(plan, format_, lambda: print_table(("would do", ""), list(shown.items())))
    if checked.refusal is not None:
        raise checked.refusal
