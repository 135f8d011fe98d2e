"""``postcopy migrate``."""

import time
from pathlib import Path
from typing import Any

import click

from postcopy import policy as policies
from postcopy.cli import moves, session
from postcopy.cli.output import format_option, print_data, print_table, runs_async
from postcopy.cli.request import (
    Request,
    adaptive_options,
    find_policy,
    libvirt_given,
    libvirt_options,
    parse_bandwidth,
    qemu_options,
)
from postcopy.units import format_rate, format_seconds

__all__ = ["migrate"]


@click.command()
@click.argument("guest")
@click.argument("destination", metavar="DEST")
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
@adaptive_options
@libvirt_options
@qemu_options
@runs_async
async def migrate(
    guest: str,
    destination: str,
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
    price: float | None,
    deadline: float | None,
    max_freeze: float | None,
    max_risk: float | None,
    **virsh: Any,
) -> None:
    """Move GUEST to DEST, switching to post-copy when the policy says so.

    With --from, GUEST is a libvirt domain and DEST a libvirt URI, as for virsh. With --qmp,
    --dest-qmp and --uri, any two QEMUs will do, and both names are only names. Without, GUEST is a
    guest of a lab and DEST one of its hosts. Options marked libvirt or QEMU are refused where they
    mean nothing.

    Ctrl-C calls the migration off while that is safe; once in post-copy it goes on without you.
    """
    bounds = {
        "price": price, "deadline": deadline, "max_freeze": max_freeze, "max_risk": max_risk,
    }  # fmt: skip
    request = Request(
        guest=guest,
        destination=destination,
        policy=find_policy(policy, bounds),
        lab=lab,
        bandwidth=parse_bandwidth(bandwidth) if bandwidth else None,
        downtime_limit=downtime,
        preempt=preempt,
        monitors=(qmp, dest_qmp),
        rescues=(rescue_qmp, dest_rescue_qmp),
        uri=uri,
        source_uri=source_uri,
        peer_uri=peer_uri,
        libvirt=libvirt_given(virsh),
    )
    if dry_run:
        await _plan(request, format_)
        return
    # The journal first: if it cannot be written, nothing must have been begun.
    with session.claimed(guest), session.open_journal() as journal:
        move = await moves.prepare(request)
        run = journal.begin(
            guest=guest,
            source=move.source,
            destination=move.destination,
            policy=policies.spec_of(request.policy),
            driver=move.record(),
            started_at=time.time(),
        )
        outcome = await session.watch(
            move,
            request.policy,
            journal,
            run,
            downtime_limit=downtime,
            attach=False,
            format_=format_,
        )
        session.conclude(run, outcome, format_)


async def _plan(request: Request, format_: str) -> None:
    """Say what would be done, after the checks that can be made without doing it."""
    plan = {
        "guest": request.guest,
        "source": await moves.check(request),
        "destination": request.destination,
        "policy": policies.spec_of(request.policy),
        "postcopy": request.policy.uses_postcopy,
        "bandwidth": request.bandwidth,
        "downtime_limit_seconds": request.downtime_limit,
    }
    shown = {
        **plan,
        "bandwidth": format_rate(request.bandwidth) if request.bandwidth else "as the link allows",
        "downtime_limit_seconds": format_seconds(request.downtime_limit),
    }
    print_data(plan, format_, lambda: print_table(("would do", ""), list(shown.items())))
