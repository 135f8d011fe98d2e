"""``postcopy lab``: real hosts on one machine."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import click

from postcopy.cli.output import format_option, print_data, print_table, runs_async
from postcopy.errors import MigrationError, RefusedError, UsageError
from postcopy.lab import names, releases
from postcopy.lab.disk import Disk
from postcopy.lab.domain import LabDomain
from postcopy.lab.find import all_guests, find_guest
from postcopy.lab.guest import LabGuest
from postcopy.lab.lab import Lab
from postcopy.lab.machine import ACCELERATORS, GuestSpec
from postcopy.lab.openstack import clouds
from postcopy.lab.openstack.server import LabServer
from postcopy.lab.openstack.settings import parse_options
from postcopy.lab.status import LabState
from postcopy.lab.workload import Workload
from postcopy.units import format_rate, parse_rate

__all__ = ["lab"]

name_option = click.option(
    "--lab", "name", default=names.DEFAULT_LAB, show_default=True, help="The lab's name."
)


@click.group()
def lab() -> None:
    """Two real hosts on this machine, with a link between them that can be shaped and cut.

    All of it needs root. What is up stays up until `postcopy lab down`.
    """


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show stages as they come, with the time each began, on stderr."""
    started = time.monotonic()

    def show(stage: str) -> None:
        click.echo(f"[{time.monotonic() - started:6.1f} s] {stage}", err=True)

    yield show


@lab.command()
@name_option
@click.option("--rate", metavar="RATE", help="Of the data link: 1gbit (a new lab's default).")
@click.option(
    "--release",
    metavar="NAME",
    help=f"The Debian of the hosts: {', '.join(releases.RELEASES)} (default"
    f" {releases.DEFAULT_RELEASE}); or one a host: alpha=bookworm,beta=trixie.",
)
@click.option("--kvm", is_flag=True, help="Give the hosts this machine's /dev/kvm.")
@click.option("--openstack", is_flag=True, help="A third host, controller, and Nova on the others.")
@click.option(
    "--instances",
    type=click.Choice(["local", "shared"]),
    help="Where Nova keeps instances: on each host (a new lab's default), or where both see them.",
)
@click.option(
    "--nova",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of nova.conf's [libvirt] on both hosts, such as"
    " live_migration_timeout_action=abort; those of earlier calls go.",
)
@runs_async
async def up(
    name: str,
    rate: str | None,
    release: str | None,
    kvm: bool,
    openstack: bool,
    instances: str | None,
    nova: tuple[str, ...],
) -> None:
    """Bring the lab up; the first time this builds each Debian it needs, in about a minute.

    With --openstack it is a small cloud: Keystone, Placement, Glance, Neutron's API and Nova, all
    Debian's. That takes some minutes the first time and half a minute later.
    """
    if (instances or nova) and not openstack:
        option = "--instances says where Nova keeps them" if instances else "--nova is about Nova"
        raise UsageError(option, hint="add --openstack")
    bytes_per_second = parse_rate(rate) if rate else None
    with progress() as show:
        await Lab(name).up(
            rate=bytes_per_second,
            release=release,
            kvm=kvm,
            openstack=openstack,
            shared=None if instances is None else instances == "shared",
            nova=parse_options(nova) if nova else None,
            progress=show,
        )


@lab.command()
@name_option
@click.option("--all", "every", is_flag=True, help="Every lab on this machine.")
@runs_async
async def down(name: str, every: bool) -> None:
    """Take the lab away, guests and all; the cached Debian stays."""
    labs = Lab.list() if every else [Lab(name)]
    with progress() as show:
        for one in labs:
            await one.down(progress=show)


@lab.command()
@name_option
@format_option
@runs_async
async def status(name: str, format_: str) -> None:
    """Say how the lab is: hosts, link, guests. Exit code 0 when it is up, 1 when not."""
    data = await _status(Lab(name))

    def table() -> None:
        rows: list[tuple[str, object]] = [("lab", f"{name}: {data['state']}")]
        if link := data["link"]:
            rate = format_rate(link["rate"]) if link["rate"] else "not limited"
            rows.append(("data link", f"{link['state']}, {rate}"))
        rows += [
            (
                f"host {host['name']}",
                (
                    f"{host['release']}, process {host['pid']},"
                    f"{' data ' + host['data_address'] + ',' if host['data_address'] else ''}"
                    f" control {host['control_address']}{'' if host['alive'] else ', dead'}"
                ),
            )
            for host in data["hosts"]
        ]
        if cloud := data["cloud"]:
            down = [service for service, runs in cloud["services"].items() if not runs]
            services = f"not running: {', '.join(down)}" if down else "all services run"
            rows += [
                ("cloud", f"{cloud['auth_url']}, {cloud['instances']} instances, {services}"),
                *(("", f"{option} = {value}") for option, value in cloud["nova"].items()),
                ("", f"export OS_CLIENT_CONFIG_FILE={cloud['clouds_file']}"),
                ("", f"export OS_CLOUD={cloud['name']}"),
            ]
        rows += [
            (
                f"guest {guest['name']}",
                ", ".join(f"{state} on {host}" for host, state in guest["states"].items())
                or "gone",
            )
            for guest in data["guests"]
        ]
        print_table(("", ""), rows)

    print_data(data, format_, table)
    if data["state"] != LabState.UP:
        raise click.exceptions.Exit(1)


async def _status(one: Lab) -> dict[str, Any]:
    found = await one.status()
    data: dict[str, Any] = {**asdict(found), "guests": []}
    if found.state is LabState.UP:
        for guest in all_guests(one):
            states = await guest.states()
            running = [host for host, state in states.items() if state == "running"]
            data["guests"].append(
                {
                    "name": guest.spec.name,
                    "kind": guest.kind,
                    "host": running[0] if running else None,
                    "states": states,
                    "workload": asdict(guest.spec.workload),
                }
            )
    return data


@lab.command("exec", context_settings={"ignore_unknown_options": True})
@name_option
@click.argument("host")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(name: str, host: str, command: tuple[str, ...]) -> None:
    """Run COMMAND inside HOST, with this terminal, and exit with its code."""
    inside = Lab(name).host(host)
    argv = inside.command(*command)
    environment = dict(inside.environment())
    if host == names.CONTROLLER:
        environment["OS_CLOUD"] = clouds.CLOUD
    if "TERM" in os.environ:
        environment["TERM"] = os.environ["TERM"]
    sys.stdout.flush()
    os.execvpe(argv[0], argv, environment)


@lab.command()
@name_option
@click.option("--rate", metavar="RATE", help="Limit both directions: 100mbit, 1gbit.")
@click.option("--down", "action", flag_value="down", help="Take the link down: no carrier.")
@click.option("--up", "action", flag_value="up", help="Undo --down and --drop.")
@click.option("--drop", "action", flag_value="drop", help="Lose every packet without a word.")
@click.option("--reset", "action", flag_value="reset", help="Break the connections on it, now.")
@format_option
@runs_async
async def link(name: str, rate: str | None, action: str | None, format_: str) -> None:
    """Shape the data link between the hosts, cut it, mend it; without options, say how it is.

    The control link to this machine is not touched.
    """
    data_link = Lab(name).link()
    if rate is not None:
        await data_link.set_rate(parse_rate(rate))
    if action is not None:
        await getattr(data_link, action)()
    now = await data_link.status()
    shown = format_rate(now.rate) if now.rate else "not limited"
    print_data(asdict(now), format_, lambda: click.echo(f"data link: {now.state}, {shown}"))


@lab.command()
@click.argument("guest_name", metavar="NAME")
@name_option
@click.option("--host", default=names.HOSTS[0], show_default=True, help="Where to start it.")
@click.option("--cold", default=256, show_default=True, metavar="MIB", help="Memory written once.")
@click.option("--hot", default=64, show_default=True, metavar="MIB", help="Memory rewritten.")
@click.option("--rate", default=0, metavar="PAGES", help="Writes a second; 0 is flat out.")
@click.option(
    "--pattern",
    default="random",
    show_default=True,
    help="random, sequential, reads, or bursts:PERCENT:MILLISECONDS.",
)
@click.option("--seed", default=1, show_default=True, help="Of what the pages hold.")
@click.option("--vcpus", default=1, show_default=True, help="Each has a writer of its own.")
@click.option("--accelerator", default="tcg", show_default=True, type=click.Choice(ACCELERATORS))
@click.option("--bare", is_flag=True, help="A QEMU of its own, without libvirt.")
@click.option("--server", is_flag=True, help="A server of the lab's cloud, which Nova runs.")
@click.option(
    "--second-monitor/--no-second-monitor",
    default=True,
    show_default=True,
    help="Whether a domain has the monitor that recovery past libvirt takes.",
)
@click.option(
    "--disk",
    type=int,
    is_flag=False,
    flag_value=64,
    metavar="[MIB]",
    help="Give it a disk that it rewrites, too; of 64 MiB if not said.",
)
@click.option("--shared", is_flag=True, help="The disk is where both hosts see it.")
@click.option("--verify", is_flag=True, help="Have it check its memory and its disk.")
@click.option("--stop", is_flag=True, help="End it.")
@format_option
@runs_async
async def guest(
    guest_name: str,
    name: str,
    host: str,
    cold: int,
    hot: int,
    rate: int,
    pattern: str,
    seed: int,
    vcpus: int,
    accelerator: str,
    bare: bool,
    server: bool,
    second_monitor: bool,
    disk: int | None,
    shared: bool,
    verify: bool,
    stop: bool,
    format_: str,
) -> None:
    """Start the guest NAME as a libvirt domain, have it verify its memory, or stop it.

    In a lab with a cloud, --server has Nova start it instead.

    Its only process, the witness, rewrites its hot memory and its disk, knows what every page and
    every block must hold, and says every 20 ms that it lives.
    """
    if verify and stop:
        raise UsageError("--verify and --stop exclude each other", hint="verify first, then stop")
    if bare and server:
        raise UsageError("--bare and --server exclude each other", hint="choose who runs it")
    if shared and disk is None:
        raise UsageError("--shared says where the disk is, and there is none", hint="add --disk")
    if disk is not None and (bare or server):
        kind = "--bare guest" if bare else "--server"
        raise UsageError(f"a {kind} has no disk of its own", hint="leave --disk out")
    if server and vcpus != 1:
        raise UsageError("a --server has one vCPU", hint="leave --vcpus out")
    one = Lab(name)
    if verify:
        await _verify(find_guest(one, guest_name), format_)
    elif stop:
        await find_guest(one, guest_name).stop()
    else:
        one.guest_host(host)  # an unknown host, before anything is started
        workload = Workload(cold, hot, rate, pattern, seed, writers=vcpus)
        spec = GuestSpec(
            name=guest_name,
            workload=workload,
            accelerator=accelerator,
            disk=Disk(disk, shared) if disk is not None else None,
            vcpus=vcpus,
            second_monitor=second_monitor,
        )
        with progress() as show:
            more = f" and {disk} MiB of disk" if disk else ""
            show(f"booting guest {guest_name}; it fills {cold + hot} MiB of memory{more}")
            if guest_name in (known.spec.name for known in all_guests(one)):
                raise RefusedError(
                    f"lab {name!r} has a guest {guest_name!r} already",
                    hint=f"stop it first: postcopy lab guest {guest_name} --stop",
                )
            await (LabGuest if bare else LabServer if server else LabDomain).start(one, spec, host)
        data = {**asdict(spec), "host": host}
        print_data(data, format_, lambda: click.echo(f"guest {guest_name} runs on {host}"))


async def _verify(one: LabGuest | LabDomain | LabServer, format_: str) -> None:
    verdict = await one.verify()
    data = asdict(verdict)
    wrong = verdict.pages_wrong
    text = f"guest {one.spec.name}: {verdict.pages_checked} pages checked, {wrong} wrong"
    if verdict.disk_blocks_checked is not None:
        text += f"; {verdict.disk_blocks_checked} blocks of its disk checked,"
        text += f" {verdict.disk_blocks_wrong} wrong"
    print_data(data, format_, lambda: click.echo(text))
    if wrong:
        raise MigrationError(
            f"{wrong} of {verdict.pages_checked} pages of guest {one.spec.name!r} are wrong",
            hint="its memory was corrupted: which QEMU moved it? see postcopy history",
        )
    if verdict.disk_blocks_wrong:
        raise MigrationError(
            f"{verdict.disk_blocks_wrong} of {verdict.disk_blocks_checked} blocks of the disk of"
            f" guest {one.spec.name!r} were found wrong",
            hint="its storage was not moved whole: how was it moved? see postcopy history",
        )
