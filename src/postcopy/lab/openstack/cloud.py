"""The cloud of a lab: `ensure` brings up what does not run, `status` says what does."""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from postcopy.errors import RefusedError, UnavailableError
from postcopy.lab import libvirtd, names
from postcopy.lab.host import Host
from postcopy.lab.openstack import (
    catalog,
    clouds,
    config,
    databases,
    kept,
    readiness,
    service,
    services,
)
from postcopy.lab.openstack.config import Site
from postcopy.lab.openstack.passwords import Passwords, write_private
from postcopy.lab.openstack.service import Service
from postcopy.lab.openstack.settings import Settings
from postcopy.lab.root import Root

__all__ = ["CloudStatus", "ensure", "status"]

_MADE = "var/lib/postcopy/databases-made"
"""In the controller: its databases are whole."""

_NODE_IDENTITY = "var/lib/nova/compute_id"
_UP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class CloudStatus:
    """How a lab's cloud is, and how it is reached.

    :ivar name: for ``OS_CLOUD``.
    :ivar clouds_file: for ``OS_CLIENT_CONFIG_FILE``.
    :ivar auth_url: of Keystone.
    :ivar instances: ``local`` or ``shared``.
    :ivar nova: options of nova.conf's ``[libvirt]`` that somebody has set.
    :ivar services: whether each runs, by host and name.
    """

    name: str
    clouds_file: str
    auth_url: str
    instances: str
    nova: Mapping[str, str]
    services: dict[str, bool]

    @property
    def missing(self) -> list[str]:
        """The services that do not run."""
        return [name for name, runs in self.services.items() if not runs]


async def ensure(
    hosts: Mapping[str, Host],
    directory: Path,
    root: Root,
    *,
    shared: bool | None,
    nova: Mapping[str, str] | None,
    progress: Callable[[str], None],
) -> None:
    """Start every service that does not run, and return when Nova would take a guest.

    :param hosts: all hosts of the lab, with their libvirtd running.
    :param directory: the lab's runtime directory.
    :param shared: where instances are; None leaves it as it is.
    :param nova: options of nova.conf's ``[libvirt]``, in place of the lab's; None leaves them.
    :raises RefusedError: when servers that are there forbid the change.
    :raises UnavailableError: when a service does not come up, with what it said last.
    """
    controller = hosts[names.CONTROLLER]
    before = Settings.of(directory)
    wanted = before.changed(shared, nova)
    if wanted != before:
        await _make_way(hosts, directory, moves_disks=wanted.shared != before.shared)
        wanted.save(directory)
    site = Site(
        controller.control_address,
        Passwords.of(directory / "passwords.json"),
        shared=wanted.shared,
        nova=wanted.nova,
        release=root.release,
    )
    for host in hosts.values():
        _configure(host, site)
    clouds.write(site, clouds.file_of(directory), controller.root_dir / "etc/openstack/clouds.yaml")
    database, queue, apis = services.database(), services.messages(), services.apis(site)
    await service.start(controller, queue)
    if not (controller.root_dir / _MADE).exists():
        await _make_databases(controller, site, root, directory, progress)
    await _start_database(controller, database)
    await databases.fit(controller, site)
    progress("starting the APIs, the message queue, the conductor and the scheduler")
    for api in apis.values():
        await service.start(controller, api)
    await readiness.wait_for_port(controller, queue)
    for one in (services.conductor(), services.scheduler()):
        await service.start(controller, one)
    await readiness.wait_for_queues(controller, site.messages, [services.conductor()], hosts)
    progress("starting nova-compute")
    computes = services.computes()
    for name, one in computes.items():
        await service.start(hosts[name], one)
    for api in apis.values():
        await readiness.wait_for_port(controller, api)
    waited_for = [services.scheduler(), *computes.values()]
    await readiness.wait_for_queues(controller, site.messages, waited_for, hosts)
    progress("waiting until Nova sees both hosts")
    cloud = clouds.connect(clouds.file_of(directory))
    await _wait_until_up(cloud)


def status(hosts: Mapping[str, Host], directory: Path) -> CloudStatus:
    """Return which services run. Nothing is asked of them."""
    controller = hosts[names.CONTROLLER]
    site = Site(controller.control_address, Passwords.of(directory / "passwords.json"))
    settings = Settings.of(directory)
    everything = [
        *(services.database(), services.messages(), *services.apis(site).values()),
        *(services.conductor(), services.scheduler(), *services.computes().values()),
    ]
    return CloudStatus(
        clouds.CLOUD,
        str(clouds.file_of(directory)),
        site.url("keystone"),
        "shared" if settings.shared else "local",
        settings.nova,
        {f"{one.host}/{one.name}": _runs(hosts[one.host], one) for one in everything},
    )


def _runs(host: Host, one: Service) -> bool:
    return service.pid(host, one) is not None


async def _start_database(controller: Host, database: Service) -> None:
    await controller.run("mkdir", "-p", "/run/mysqld")
    await service.start(controller, database)
    await readiness.wait_for_socket(controller, database)


async def _make_databases(
    controller: Host,
    site: Site,
    root: Root,
    directory: Path,
    progress: Callable[[str], None],
) -> None:
    database, keystone = services.database(), services.apis(site)["keystone"]
    for one in (keystone, database):
        await service.stop(controller, one)  # left by an attempt that was cut short
    if not await kept.put_back(controller, root):
        progress("making the databases: this is done once")
        await _start_database(controller, database)
        await databases.create(controller, site, progress)
        progress("entering the services into Keystone")
        await service.start(controller, keystone)
        await readiness.wait_for_port(controller, keystone)
        cloud = clouds.connect(clouds.file_of(directory))
        await asyncio.to_thread(catalog.register, cloud, site)
        for one in (keystone, database):
            await service.stop(controller, one)
        progress("keeping the databases for other labs")
        await kept.keep(controller, root)
    made = controller.root_dir / _MADE
    made.parent.mkdir(parents=True, exist_ok=True)
    made.touch()


def _configure(host: Host, site: Site) -> None:
    for path, text in config.files(
        site, host.name, host.control_address, host.data_address
    ).items():
        write_private(host.root_dir / path.lstrip("/"), text)
    if host.name in names.HOSTS:
        (host.root_dir / config.SHARED_INSTANCES.lstrip("/")).mkdir(exist_ok=True)
        identity = host.root_dir / _NODE_IDENTITY
        identity.write_text(f"{uuid.uuid5(uuid.UUID(libvirtd.host_uuid(host)), 'node')}\n")


async def _wait_until_up(cloud: Any) -> None:
    """Return when Nova has heard of a heartbeat of every nova-compute."""

    def look() -> dict[str, str]:
        found = cloud.compute.services(binary="nova-compute")
        return {one.host: one.state for one in found}

    deadline = time.monotonic() + _UP_SECONDS
    while True:
        seen = await asyncio.to_thread(look)
        if all(seen.get(host) == "up" for host in names.HOSTS):
            return
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"Nova does not see its compute hosts: {seen}",
                hint="see /var/log/nova/nova-compute.log inside them",
            )
        await asyncio.sleep(0.2)


async def _make_way(hosts: Mapping[str, Host], directory: Path, *, moves_disks: bool) -> None:
    """End every nova-compute, which reads its configuration when it starts.

    :param moves_disks: whether instances will be somewhere else from then on.
    :raises RefusedError: when a server's disk would be left behind, or a server is on its way.
    """
    computes = services.computes()
    if any(_runs(hosts[name], one) for name, one in computes.items()):
        cloud = clouds.connect(clouds.file_of(directory))
        there = await asyncio.to_thread(lambda: list(cloud.compute.servers(all_projects=True)))
        if there and moves_disks:
            raise RefusedError(
                "there are instances, whose disks would be left behind:"
                f" {', '.join(one.name for one in there)}",
                hint="delete them first",
            )
        if moving := [one.name for one in there if one.task_state]:
            raise RefusedError(
                f"nova-compute is at work with {', '.join(moving)}, and would be started again",
                hint="wait until that is done",
            )
    await asyncio.gather(*(service.stop(hosts[name], one) for name, one in computes.items()))
