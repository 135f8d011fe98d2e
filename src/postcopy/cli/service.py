"""``postcopy watch --install-unit``: the guard becomes a service of this machine, undoable."""

import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from postcopy.cli.changes import confirm, print_plans, say, told_how_to_undo, undo_command
from postcopy.cli.output import print_data
from postcopy.errors import UnavailableError
from postcopy.hosts import connect
from postcopy.setup import alone, begin, go_on
from postcopy.setup.service import SERVICE, propose_service
from postcopy.setup.session import Proposal

__all__ = ["install"]


async def install(
    uris: Sequence[str], options: Sequence[str], *, dry_run: bool, yes: bool, format_: str
) -> None:
    """Show the unit and its configuration, ask, and have systemd run it.

    :param options: those of ``postcopy watch`` that the service is to have.
    :raises UnavailableError: when this machine has no systemd that runs.
    """
    host = connect("local")
    plan = await propose_service(host, uris, options, _command())
    shown = "table" if format_ == "text" else format_
    if dry_run or plan.empty:
        print_plans(Proposal((), () if plan.empty else (plan,)), shown)
        if not plan.empty:
            raise click.exceptions.Exit(1)
        return
    if not _systemd_runs():
        raise UnavailableError(
            "systemd does not run this machine",
            hint="--dry-run shows the unit; any service manager can run: postcopy watch URI...",
        )
    if shown == "table":
        print_plans(Proposal((), (plan,)), shown)
    confirm("do this?", yes)
    with alone():
        begun = await begin([plan], {host.name: host}, time.time())
        with told_how_to_undo(begun.record):
            await go_on(begun, {host.name: host}, say)
    data = {"record": begun.record.id, "service": SERVICE}
    lines = (f"{SERVICE} runs: journalctl -u {SERVICE}",
             f"to take it back: {undo_command(begun.record)}")  # fmt: skip
    print_data(data, shown, lambda: click.echo("\n".join(lines)))


def _systemd_runs() -> bool:
    """Return whether systemd is this machine's service manager, as sd_booted(3) finds out."""
    return Path("/run/systemd/system").is_dir()


def _command() -> str:
    """Return where this command is, so that the service runs the same one."""
    beside = Path(sys.executable).with_name("postcopy")
    return str(beside) if beside.exists() else shutil.which("postcopy") or "/usr/bin/postcopy"
