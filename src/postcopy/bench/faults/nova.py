"""Servers of the lab's cloud, moved by Nova."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from postcopy import pids
from postcopy.bench.faults.domains import look_for
from postcopy.bench.faults.floor import SOURCE, Sight
from postcopy.bench.faults.libvirt import kill_daemon
from postcopy.bench.faults.model import Kind, RunPlan
from postcopy.bench.faults.subject import LabSubject
from postcopy.errors import PostcopyError
from postcopy.lab import libvirtd
from postcopy.lab.host import Host
from postcopy.lab.lab import Lab
from postcopy.lab.link import DataLink
from postcopy.lab.machine import GuestSpec
from postcopy.lab.openstack import service, services
from postcopy.lab.openstack.server import LabServer
from postcopy.setup.arrival_hook import plan_hook

__all__ = ["NovaFloor"]

_NOVA_LOG = "var/log/nova/nova-compute.log"


class NovaFloor:
    """A `postcopy.bench.faults.floor.Floor`.

    A daemon that dies is not among its faults: nova-compute, which asks it all the time, takes that
    for the migration's end and the server for broken, whatever becomes of the guest.

    :param lab: the name of its lab.
    """

    name = "nova"
    kinds = frozenset(Kind) - {Kind.DAEMON}

    def __init__(self, lab: str) -> None:
        self._lab = Lab(lab)

    async def up(self, progress: Callable[[str], None]) -> None:
        await self._lab.down(progress=progress)
        await self._lab.up(openstack=True, progress=progress)
        for name, compute in services.computes().items():
            # One that sees its libvirt go away takes its host out of service for minutes.
            await service.stop(self._lab.host(name), compute)
            await _prepare(self._lab.host(name))
        await self._lab.up(openstack=True, progress=progress)

    async def down(self) -> None:
        await self._lab.down()

    def link(self) -> DataLink:
        return self._lab.link()

    async def boot(self, plan: RunPlan) -> "NovaSubject":
        spec = GuestSpec(name=plan.name, workload=plan.workload)
        server = await LabServer.start(self._lab, spec, SOURCE)
        return NovaSubject(server, plan, await server.domain_name(SOURCE))


async def _prepare(host: Host) -> None:
    """Do what ``postcopy guest prepare-host`` does, on a host that has no guests yet."""
    [hook] = plan_hook(host.name, None).files
    path = host.root_dir / hook.path.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(hook.after or "")
    path.chmod(hook.mode)
    await (await kill_daemon(host))()


class NovaSubject(LabSubject[LabServer]):
    """A `postcopy.bench.faults.floor.Subject`.

    :param domain: what Nova has called the server's domain.
    """

    def __init__(self, guest: LabServer, plan: RunPlan, domain: str) -> None:
        super().__init__(guest, plan)
        self._domain = domain

    def qemu(self, host: str) -> int | None:
        return self.guest.hosts[host].qemu(f"/run/libvirt/qemu/{self._domain}.pid")

    async def look(self) -> Sight:
        """Look at both libvirts, and at what Nova and Placement have on record."""
        sight = await look_for(self.guest.hosts, self.guest.uuid)
        try:
            told = await self.guest.on_record()
        except PostcopyError as error:
            return replace(sight, settled=False, records=f"the cloud says: {error.message}")
        wrong = [sight.records] if sight.records else []
        (host,) = sight.running if len(sight.running) == 1 else (None,)
        if host is not None and (told["host"], told["status"]) != (host, "ACTIVE"):
            wrong.append(f"Nova says {told['status']} on {told['host']}, and it runs on {host}")
        if host is not None and told["room"] != [host]:
            kept = " and ".join(told["room"]) or "no host"
            wrong.append(f"Placement keeps room on {kept}, and it runs on {host}")
        settled = sight.settled and told["task"] is None
        return replace(sight, records="; ".join(wrong), settled=settled)

    def logs(self) -> Mapping[str, Path]:
        kept = {}
        for name, host in self.guest.hosts.items():
            kept[f"console-{name}.log"] = self.guest.console_log(name)
            kept[f"qemu-{name}.log"] = host.root_dir / f"var/log/libvirt/qemu/{self._domain}.log"
            kept[f"nova-{name}.log"] = host.root_dir / _NOVA_LOG
        return kept

    async def remove(self) -> None:
        hosts = self.guest.hosts
        # By force: one that hangs would hold up its daemon, too, and Nova behind that.
        doomed = {self.qemu(host) for host in hosts} - {None}
        await pids.end(lambda pid: pid in doomed)
        await asyncio.gather(*(libvirtd.ensure(host) for host in hosts.values()))
        await self.guest.stop()
