"""``postcopy check``: is this host, this pair, this guest ready for post-copy?"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from postcopy.cli import findings
from postcopy.cli.output import formats_option, print_data, print_table
from postcopy.cli.reach import domain_of, inventory_option, lab_option, limit_option, reach
from postcopy.errors import PostcopyError, UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from postcopy.doctor import Examination, Progress

__all__ = ["check"]

EXIT_UNEXPECTED = 255
"""As ``nova-status upgrade check`` has it."""


def _complete(
    _ctx: click.Context, param: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    from click.shell_completion import CompletionItem

    from postcopy.doctor import all_checks

    checks = all_checks()
    found = [CompletionItem(check.id, help=check.title) for check in checks]
    if param.multiple:
        layers = dict.fromkeys(check.layer for check in checks)
        found = [*(CompletionItem(f"{layer}.*") for layer in layers), *found]
    return [item for item in found if item.value.startswith(incomplete)]


@click.command()
@click.argument("hosts", metavar="[HOST]...", nargs=-1)
@click.option(
    "--guest", metavar="NAME", help="May this guest go from the first HOST to the second?"
)
@lab_option
@inventory_option
@limit_option
@click.option("--only", metavar="GLOB", multiple=True, shell_complete=_complete,
              help="Only checks of these ids: kernel.*")  # fmt: skip
@click.option("--skip", metavar="GLOB", multiple=True, shell_complete=_complete,
              help="No checks of these ids.")  # fmt: skip
@click.option("--quick", is_flag=True, help="Look and ask, but prove nothing by doing.")
@click.option("--explain", metavar="ID", shell_complete=_complete, help="Say all about one check.")
@click.option("--list", "list_", is_flag=True, help="List the checks.")
@click.option("-v", "--verbose", is_flag=True, help="Show what passes and what is skipped too.")
@formats_option("table", "json", "yaml", "junit")
def check(
    hosts: tuple[str, ...],
    guest: str | None,
    lab: str,
    inventory: Path | None,
    limit: str | None,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    quick: bool,
    explain: str | None,
    list_: bool,
    verbose: bool,
    format_: str,
) -> None:
    """Find out whether hosts, each pair of them, or a guest on a pair are ready for post-copy.

    HOST is local (the default), alpha or beta of a lab, or ssh://user@host. Nothing is changed
    there and nothing installed; a Python 3.9 or newer is all that is needed.

    What has to work is tried: page faults are taken and resolved, QEMU is asked as the user that
    libvirt runs it as, a tiny guest is booted under KVM, and one of 32 MiB moves from the host to
    itself. --quick does no more of this than ask QEMU; --skip qemu.postcopy.works
    leaves out the last.

    Exit codes: 0 all is well, 1 there are warnings, 2 there are failures, 255 something
    unexpected went wrong.
    """
    from postcopy.doctor import select

    if explain is not None:
        _explain(explain, format_)
        return
    chosen = select(only, skip)
    if list_:
        rows = [(one.id, one.scope, one.title, one.proof or "-") for one in chosen]
        data = [findings.about(one) for one in chosen]
        head = ("check", "of a", "what should be so", "by trying")
        print_data(data, _plain(format_), lambda: print_table(head, rows))
        return
    try:
        done = asyncio.run(_examine(hosts, guest, lab, inventory, limit, chosen, quick))
        findings.show(done, format_, verbose)
    except (PostcopyError, click.ClickException, click.Abort, BrokenPipeError):
        raise
    except Exception as error:
        from postcopy.cli.app import confess

        confess(error)
        raise click.exceptions.Exit(EXIT_UNEXPECTED) from error
    if done.exit_code:
        raise click.exceptions.Exit(done.exit_code)


async def _examine(
    names: tuple[str, ...],
    guest: str | None,
    lab: str,
    inventory: Path | None,
    limit: str | None,
    checks: list[Any],
    quick: bool,
) -> "Examination":
    from postcopy.doctor import examine

    hosts = await reach(names, lab, inventory, limit)
    if guest is not None and len(hosts) != 2:
        raise UsageError(
            f"--guest {guest} needs two hosts, and {len(hosts)} are named",
            hint=f"postcopy check --guest {guest} SOURCE DESTINATION",
        )
    try:
        guest = await domain_of(lab, guest) if guest is not None else None
        return await examine(
            hosts, checks, proofs=not quick, guest=guest, progress=_progress(len(hosts))
        )
    finally:
        await asyncio.gather(*(host.close() for host in hosts))


def _progress(hosts: int) -> "Callable[[Progress], None]":
    """Return what shows progress on stderr: one line written over, or a line now and then."""
    terminal = sys.stderr.isatty()

    def show(now: "Progress") -> None:
        text = f"[{now.done}/{now.total}] {now.subject}{'' if now.reached else ': no answer'}"
        last = now.done == now.total
        if terminal:
            click.echo(f"\r\x1b[K{'' if last else text}", nl=False, err=True)
        elif last or not now.reached or now.done % 10 == 0:
            click.echo(text, err=True)

    return show if hosts > 1 else lambda now: None


def _explain(id_: str, format_: str) -> None:
    from postcopy.doctor.registry import find

    one = find(id_)
    rows = [(name, value) for name, value in findings.about(one).items() if value]
    print_data(findings.about(one), _plain(format_), lambda: print_table(("", ""), rows))


def _plain(format_: str) -> str:
    if format_ == "junit":
        raise UsageError("junit is a format of findings", hint="use -f table, json or yaml here")
    return format_
