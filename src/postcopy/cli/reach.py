"""Which hosts a command is about: those named, and those of an inventory."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from postcopy.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from postcopy.hosts import HostAccess

__all__ = ["reach", "domain_of", "lab_host", "lab_option", "inventory_option", "limit_option"]

lab_option = click.option(
    "--lab", "lab", default="default", show_default=True, help="Whose alpha and beta."
)
inventory_option = click.option(
    "--inventory",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Hosts of an Ansible inventory; Kolla's compute, OSA's nova_compute, or all.",
)
limit_option = click.option(
    "--limit", metavar="PATTERN", help="Which of them, as ansible has it: compute,!n7."
)


async def reach(
    names: tuple[str, ...], lab: str, inventory: Path | None, limit: str | None
) -> "list[HostAccess]":
    """Return ways into the hosts that a user names; this machine without any.

    :raises UsageError: when one is no host, or named twice.
    :raises NotFoundError: when a bare name is no host of the lab.
    """
    from postcopy.hosts import connect, parse
    from postcopy.hosts.inventory import read

    if limit is not None and inventory is None:
        raise UsageError(
            "--limit chooses hosts of an inventory", hint="say which: --inventory FILE"
        )
    specs = [parse(name) for name in names]
    if inventory is not None:
        specs += await read(inventory, limit)
    specs = specs or [parse("local")]
    known = [spec.name for spec in specs]
    for name in known:
        if known.count(name) > 1:
            raise UsageError(f"host {name} is named twice", hint="name each host once")
    return [connect(spec, lambda name: lab_host(lab, name)) for spec in specs]


def lab_host(lab: str, name: str) -> "HostAccess":
    """Return a way into a host of a lab.

    :raises NotFoundError: when the lab has none of that name.
    :raises UnavailableError: when the lab is not up.
    """
    from postcopy.lab.lab import Lab

    try:
        host = Lab(lab).host(name)
    except NotFoundError as error:
        hint = f"{error.hint}; a host behind SSH is ssh://{name}"
        raise NotFoundError(error.message, hint=hint) from error
    return host.access()


async def domain_of(lab: str, guest: str) -> str:
    """Return what libvirt calls a guest: of a server of a lab's cloud, the domain that it is."""
    from postcopy.lab.lab import Lab
    from postcopy.lab.openstack.server import LabServer

    one = Lab(lab)
    if guest not in LabServer.names(one):
        return guest
    server = LabServer.load(one, guest)
    return await server.domain_name(await server.where())
