"""``postcopy lab up``, ``down``, ``status``, ``exec``, ``link``: the hosts, and what joins them."""

import os
import sys
from dataclasses import asdict
from typing import Any

import click

from postcopy.cli.output import format_option, print_data, print_table, progress, runs_async
from postcopy.errors import UsageError
from postcopy.lab import names, releases
from postcopy.lab.find import all_guests
from postcopy.lab.lab import Lab
from postcopy.lab.openstack import clouds
from postcopy.lab.openstack.settings import parse_options
from postcopy.lab.status import LabState
from postcopy.units import format_rate, parse_rate

__all__ = ["down", "exec_", "link", "name_option", "status", "up"]

name_option = click.option(
    "--lab", "name", default=names.DEFAULT_LAB, show_default=True, help="The lab's name."
)


@click.command()
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


@click.command()
@name_option
@click.option("--all", "every", is_flag=True, help="Every lab on this machine.")
@runs_async
async def down(name: str, every: bool) -> None:
    """Take the lab away, guests and all; the cached Debian stays."""
    labs = Lab.list() if every else [Lab(name)]
    with progress() as show:
        for one in labs:
            await one.down(progress=show)


@click.command()
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


@click.command("exec", context_settings={"ignore_unknown_options": True})
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


@click.command()
@name_option
@click.option("--rate", metavar="RATE", help="Limit both directions: 100mbit, 1gbit.")
@click.option("--fair", is_flag=True, help="With --rate: connections take turns in the queue.")
@click.option("--down", "action", flag_value="down", help="Take the link down: no carrier.")
@click.option("--up", "action", flag_value="up", help="Undo --down and --drop.")
@click.option("--drop", "action", flag_value="drop", help="Lose every packet without a word.")
@click.option("--reset", "action", flag_value="reset", help="Break the connections on it, now.")
@format_option
@runs_async
async def link(name: str, rate: str | None, fair: bool, action: str | None, format_: str) -> None:
    """Shape the data link between the hosts, cut it, mend it; without options, say how it is.

    The control link to this machine is not touched.
    """
    data_link = Lab(name).link()
    if fair and rate is None:
        raise UsageError("--fair goes with --rate", hint="such as --rate 400mbit --fair")
    if rate is not None:
        await data_link.set_rate(parse_rate(rate), fair=fair)
    if action is not None:
        await getattr(data_link, action)()
    now = await data_link.status()
    shown = format_rate(now.rate) if now.rate else "not limited"
    print_data(asdict(now), format_, lambda: click.echo(f"data link: {now.state}, {shown}"))
