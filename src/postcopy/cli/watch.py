"""``postcopy watch``: a guard over libvirt hosts, for as long as it is left to run."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from postcopy.cli import session
from postcopy.cli.output import formats_option, runs_async
from postcopy.cli.request import recover_uri_option
from postcopy.cli.signals import ENDING, ended_by_sigterm, handled
from postcopy.errors import JournalError, NotFoundError, UnavailableError, UsageError
from postcopy.migration.claim import claim
from postcopy.migration.conduct import CANCEL_SIGNAL, SWITCH_SIGNAL
from postcopy.paths import state_dir

if TYPE_CHECKING:
    from postcopy.hosts import HostAccess
    from postcopy.migration.journal import Journal
    from postcopy.watch import Guard, Notice

__all__ = ["watch"]


@click.command()
@click.argument("uris", nargs=-1, metavar="URI...", required=True)
@click.option("--dry-run", is_flag=True, help="Say what is seen and would be done; do nothing.")
@click.option("--once", is_flag=True, help="Look once, recover what is found, and end: for cron.")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="URI=HOST",
    help="A way into the host behind URI, for recovery: ssh://root@h1, local; that of a qemu+ssh"
    " or local URI if not said.",
)
@click.option(
    "--peer-uri",
    metavar="URI",
    help="Any host as the others reach it, {host} for its name: qemu+tls://{host}/system.",
)
@recover_uri_option
@click.option(
    "--recover-for",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long to try, each time; for ever if not said: giving up loses the guest.",
)
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="When to look at a host that tells nothing by itself.",
)
@click.option("--lab", default="default", show_default=True, help="Whose alpha and beta HOSTs are.")
@click.option(
    "--install-unit",
    is_flag=True,
    help="Make it a service of systemd's on this machine, with these URIs and options.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask before that.")
@formats_option("text", "json")
@runs_async
async def watch(
    uris: tuple[str, ...],
    dry_run: bool,
    once: bool,
    hosts: tuple[str, ...],
    peer_uri: str | None,
    recover_uri: str | None,
    recover_for: float | None,
    interval: float,
    lab: str,
    install_unit: bool,
    yes: bool,
    format_: str,
) -> None:
    """Watch the libvirt hosts at URIs, and recover every post-copy that is interrupted.

    Whoever began it: virsh, Nova, anybody; also before this was started. Both hosts of a migration
    must be watched. A guest that another postcopy looks after is left to that one. Hosts may go
    away and come back. Ends with SIGTERM or Ctrl-C, and leaves every guest as it is.

    What happens is told on stderr, or with -f json on stdout, a line of JSON each. Exit codes of
    --once: 1 a guest was not recovered, 69 a host does not answer.
    """
    from postcopy.watch import Guard, LibvirtWindow, Means, Tender

    for uri in uris:
        if uris.count(uri) > 1:
            raise UsageError(f"host {uri} is named twice", hint="name each host once")
    means = Means(
        hosts=_ways(uris, hosts),
        lab=lab,
        peer_uri=peer_uri,
        recover_uri=recover_uri,
        seconds=recover_for,
    )
    if install_unit:
        from postcopy.cli.service import install

        await install(uris, _options(), dry_run=dry_run, yes=yes, format_=format_)
        return
    tell = _teller(format_)
    with contextlib.ExitStack() as stack:
        journal = None if dry_run else _journal(stack, tell)
        guard = Guard(
            [LibvirtWindow(uri) for uri in uris],
            Tender(means, journal, lambda name: _lab_host(lab, name)),
            lambda name, uuid: claim(state_dir() / "locks", name, uuid),
            tell=tell,
            interval=interval,
            dry_run=dry_run,
        )
        # Those who want a guest switched or called off are answered: it is too late for both.
        answer = "a guest in post-copy can be neither switched nor called off: it goes on"
        requests = (CANCEL_SIGNAL, SWITCH_SIGNAL)
        stack.enter_context(handled(requests, lambda: tell(_about_us(answer))))
        await (_round(guard) if once else _stand(guard, len(uris), tell))


async def _round(guard: "Guard") -> None:
    with ended_by_sigterm():
        report = await guard.once()
    if report.open:
        raise click.exceptions.Exit(1)
    if report.silent:
        raise UnavailableError(
            f"no answer: {', '.join(report.silent)}", hint="what is there was not looked at"
        )


async def _stand(guard: "Guard", count: int, tell: "Callable[[Notice], None]") -> None:
    """Watch until a signal says that it is enough."""
    from postcopy.watch.systemd import Notifier

    notifier = Notifier.of_environment(os.environ)
    tell(_about_us(f"watching {count} host{'s' if count != 1 else ''}"))

    def ready() -> None:
        notifier.tell("READY=1")
        tell(_about_us(guard.status))

    try:
        async with asyncio.TaskGroup() as group:
            alive = group.create_task(notifier.keep_alive(lambda: guard.status))
            watching = group.create_task(guard.run(ready))
            with handled(ENDING, watching.cancel):
                await asyncio.wait([watching])
            notifier.tell("STOPPING=1")
            alive.cancel()
    finally:
        tell(_about_us("ended; guests are left as they are"))


def _about_us(text: str) -> "Notice":
    from postcopy.watch import Kind, Notice

    return Notice(at=time.time(), kind=Kind.GUARD, text=text)


def _journal(stack: contextlib.ExitStack, tell: "Callable[[Notice], None]") -> "Journal | None":
    """Open the journal. A full disk must not keep anybody from being recovered."""
    try:
        return stack.enter_context(session.open_journal())
    except JournalError as error:
        tell(_about_us(f"nothing will be recorded: {error.message} ({error.hint})"))
        return None


def _options() -> list[str]:
    """Return the options that were given, as a service is to have them."""
    context = click.get_current_context()
    words = []
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and name in _OF_A_SERVICE:
            value = context.params[name]
            for one in value if isinstance(value, tuple) else (value,):
                words += [parameter.opts[-1], str(one)]
    return words


_OF_A_SERVICE = ("hosts", "peer_uri", "recover_uri", "recover_for", "interval")


def _ways(uris: tuple[str, ...], given: tuple[str, ...]) -> dict[str, str]:
    ways = {}
    for one in given:
        uri, _, host = one.rpartition("=")
        if uri not in uris or not host:
            raise UsageError(
                f"--host {one}: it names none of the hosts that are watched",
                hint="write URI=HOST: --host qemu+tls://h1/system=ssh://root@h1",
            )
        ways[uri] = host
    return ways


def _lab_host(lab: str, name: str) -> "HostAccess":
    from postcopy.lab.lab import Lab

    try:
        return Lab(lab).host(name).access()
    except NotFoundError as error:
        raise NotFoundError(error.message, hint=f"behind SSH, it is ssh://{name}") from error


def _teller(format_: str) -> "Callable[[Notice], None]":
    from postcopy.watch.systemd import in_journal, journal_line

    logged = in_journal(os.environ)

    def tell(notice: "Notice") -> None:
        # A reader that has gone, or a full disk, is no reason to leave a guest.
        with contextlib.suppress(OSError):
            show(notice)

    def show(notice: "Notice") -> None:
        if format_ == "json":
            click.echo(json.dumps(notice.to_dict()))
            return
        text = f"{notice.guest}: {notice.text}" if notice.guest else notice.text
        # One line, and nothing that a terminal would obey, whatever a host has said.
        text = "".join(letter if letter.isprintable() else " " for letter in text)
        if logged:
            click.echo(journal_line(text, troubling=notice.troubling), err=True)
        else:
            at = time.strftime("%H:%M:%S", time.localtime(notice.at))
            click.echo(f"{at} {text}", err=True)

    return tell
