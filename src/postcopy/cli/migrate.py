"""``postcopy migrate``."""

import time
from dataclasses import dataclass
from pathlib import Path

import click

from postcopy import policy as policies
from postcopy.cli import session
from postcopy.cli.moves import BareMove
from postcopy.cli.output import format_option, print_data, print_table, runs_async
from postcopy.errors import UsageError
from postcopy.migration.conduct import Move
from postcopy.migration.decision import Policy
from postcopy.qemu.options import MigrationOptions
from postcopy.units import format_rate, format_seconds, parse_rate

__all__ = ["migrate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    guest: str
    destination: str
    policy: Policy
    lab: str
    monitors: tuple[Path | None, Path | None]
    rescues: tuple[Path | None, Path | None]
    uri: str | None
    bandwidth: int | None
    downtime_limit: float
    preempt: bool


@click.command()
@click.argument("guest")
@click.argument("destination", metavar="DEST")
@click.option(
    "--policy",
    default="adaptive",
    show_default=True,
    help=f"When to switch: {', '.join(policies.POLICIES)}.",
)
@click.option("--lab", default="default", show_default=True, help="The lab the guest is in.")
@click.option(
    "--qmp",
    type=click.Path(path_type=Path),
    help="Outside a lab: the QMP socket of the source's QEMU.",
)
@click.option(
    "--dest-qmp",
    type=click.Path(path_type=Path),
    help="The QMP socket of a QEMU that waits with -incoming defer.",
)
@click.option(
    "--rescue-qmp",
    type=click.Path(path_type=Path),
    help="A second QMP socket of the source, for when the first hangs.",
)
@click.option(
    "--dest-rescue-qmp", type=click.Path(path_type=Path), help="The same of the destination."
)
@click.option("--uri", help="Where the destination listens: tcp:HOST:PORT (with --qmp).")
@click.option("--bandwidth", metavar="RATE", help="The most to send before post-copy: 500mbit.")
@click.option(
    "--downtime",
    type=float,
    default=0.3,
    show_default=True,
    metavar="SECONDS",
    help="How long the guest may stand still at a pre-copy switchover.",
)
@click.option(
    "--preempt/--no-preempt",
    default=True,
    show_default=True,
    help="Let requested pages overtake others, where both sides can.",
)
@click.option("--dry-run", is_flag=True, help="Check and say what would be done; move nothing.")
@format_option
@runs_async
async def migrate(
    guest: str,
    destination: str,
    policy: str,
    lab: str,
    qmp: Path | None,
    dest_qmp: Path | None,
    rescue_qmp: Path | None,
    dest_rescue_qmp: Path | None,
    uri: str | None,
    bandwidth: str | None,
    downtime: float,
    preempt: bool,
    dry_run: bool,
    format_: str,
) -> None:
    """Move GUEST to DEST, switching to post-copy when the policy says so.

    GUEST is a guest of a lab and DEST one of its hosts. With --qmp, --dest-qmp and --uri, any two
    QEMUs will do, and both names are only names.

    Ctrl-C calls the migration off while that is safe; once in post-copy it goes on without you.
    """
    request = _Request(
        guest=guest,
        destination=destination,
        policy=policies.find(policy),
        lab=lab,
        monitors=(qmp, dest_qmp),
        rescues=(rescue_qmp, dest_rescue_qmp),
        uri=uri,
        bandwidth=parse_rate(bandwidth) if bandwidth else None,
        downtime_limit=downtime,
        preempt=preempt,
    )
    if dry_run:
        await _plan(request, format_)
        return
    # The journal first: if it cannot be written, nothing must have been begun.
    with session.claimed(guest), session.open_journal() as journal:
        move = await _prepare(request)
        run = journal.begin(
            guest=guest,
            source=move.source,
            destination=move.destination,
            policy=request.policy.name,
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


async def _prepare(request: _Request) -> Move:
    monitors = request.monitors
    if monitors == (None, None) and request.uri is None:
        from postcopy.lab.lab import Lab
        from postcopy.lab.move import LabMove

        return await LabMove.prepare(
            Lab(request.lab),
            request.guest,
            request.destination,
            postcopy=request.policy.uses_postcopy,
            preempt=request.preempt,
            bandwidth=request.bandwidth,
            downtime_limit=request.downtime_limit,
        )
    if monitors[0] is None or monitors[1] is None or request.uri is None:
        raise UsageError(
            "--qmp, --dest-qmp and --uri go together",
            hint="name the source's monitor, the destination's, and where the latter listens",
        )
    options = MigrationOptions(
        uri=request.uri,
        postcopy=request.policy.uses_postcopy,
        preempt=request.preempt,
        bandwidth=request.bandwidth,
        downtime_limit=request.downtime_limit,
    )
    return BareMove.between(
        (monitors[0], monitors[1]), request.rescues, request.destination, options
    )


async def _plan(request: _Request, format_: str) -> None:
    """Say what would be done, after the checks that can be made without doing it."""
    source = "source"
    if request.monitors == (None, None):
        from postcopy.lab.lab import Lab
        from postcopy.lab.move import check

        _, source = await check(Lab(request.lab), request.guest, request.destination)
    plan = {
        "guest": request.guest,
        "source": source,
        "destination": request.destination,
        "policy": request.policy.name,
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
