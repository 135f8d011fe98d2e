"""``postcopy demo``."""

import click

from postcopy.cli import moves, session
from postcopy.cli.display import Display, display_for
from postcopy.cli.output import format_option, print_data, print_table, progress, runs_async
from postcopy.cli.request import Request
from postcopy.demo import Attempt, DemoResult, ServerResult, guest, server
from postcopy.lab.lab import Lab
from postcopy.lab.status import LabState
from postcopy.migration.conduct import Move
from postcopy.migration.decision import Policy
from postcopy.migration.outcome import Fate
from postcopy.units import format_bytes, format_seconds

__all__ = ["demo"]


@click.command()
@click.option("--lab", "name", default="default", show_default=True, help="The lab to play in.")
@click.option("--keep", is_flag=True, help="Leave the lab up, also if this command brought it up.")
@click.option("--openstack", is_flag=True, help="Have Nova move a server, in a cloud of the lab's.")
@format_option
@runs_async
async def demo(name: str, keep: bool, openstack: bool, format_: str) -> int:
    """Move a guest that rewrites its memory faster than the link carries it.

    Shows pre-copy failing to end, moves the guest by post-copy, proves that its memory is intact,
    and leaves a page with the timelines. Needs root. Exit code 0 only if all of that went well.

    With --openstack, a cloud comes up first, and its Nova moves a server by post-copy.
    """
    lab = Lab(name)
    result: DemoResult | ServerResult
    with progress() as stage, session.open_journal() as journal:
        was_up = (await lab.status()).state is LabState.UP
        await lab.up(openstack=openstack, progress=stage)

        def watch(guest: str, destination: str) -> Display:
            return display_for(guest, destination, format_)

        async def prepare(guest: str, destination: str, policy: Policy) -> Move:
            request = Request(guest=guest, destination=destination, policy=policy, lab=name)
            return await moves.prepare(request, journal)

        try:
            if openstack:
                result = await server.run(lab, journal, prepare, stage=stage, watch=watch)
            else:
                result = await guest.run(lab, journal, stage=stage, watch=watch)
        finally:
            if not (was_up or keep):
                await lab.down(progress=stage)
    print_data(result.to_dict(), format_, lambda: _print(result))
    return 0 if result.succeeded else 1


def _print(result: DemoResult | ServerResult) -> None:
    if isinstance(result, DemoResult):
        attempts, what = {"pre-copy": result.precopy, "post-copy": result.postcopy}, "guest"
    else:
        attempts, what = {"post-copy by Nova": result.attempt}, "server"
    rows = [
        (label, *(tell(attempt) for attempt in attempts.values())) for label, tell in _ROWS.items()
    ]
    print_table(("", *attempts), rows)
    if result.succeeded:
        click.secho(f"The {what} has moved, and its memory is intact.", fg="green", bold=True)
    else:
        click.secho(f"The {what} has not moved intact.", fg="red", bold=True)
    click.echo(f"Timelines: {result.report}")


def _memory(attempt: Attempt) -> str:
    if attempt.intact:
        return f"intact: {attempt.verdict.pages_checked} pages checked"
    memory = attempt.memory
    return (
        f"{memory['pages_wrong']} of {memory['pages_checked']} pages wrong"
        + (", rebooted" if memory["rebooted"] else "")
        + (", panicked" if memory["panicked"] else "")
    )


def _ratio(attempt: Attempt) -> str:
    # A migration that was given up would have taken longer still.
    more = "" if attempt.outcome.fate is Fate.COMPLETED else "> "
    return f"{more}{attempt.limit_ratio:.2f}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else format_seconds(value)


_ROWS = {
    "outcome": lambda attempt: str(attempt.outcome.fate),
    "total time": lambda attempt: format_seconds(attempt.outcome.total_seconds),
    "x the wire's limit": _ratio,
    "downtime (QEMU)": lambda attempt: _seconds(attempt.outcome.figures.downtime_seconds),
    "longest freeze": lambda attempt: _seconds(attempt.observation.longest_freeze_seconds),
    "guest-seconds lost": lambda attempt: _seconds(attempt.observation.guest_seconds_lost),
    "sent": lambda attempt: format_bytes(attempt.last_known.transferred_bytes),
    "passes": lambda attempt: str(attempt.last_known.pass_number),
    "memory": _memory,
}
