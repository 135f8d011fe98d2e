"""Domains of the lab, moved between two libvirts."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from postcopy import pids
from postcopy.bench.faults.domains import look_for
from postcopy.bench.faults.floor import DESTINATION, SOURCE, Mend, Sight
from postcopy.bench.faults.model import Fault, Kind, RunPlan, Side
from postcopy.bench.faults.subject import LabSubject
from postcopy.errors import NotFoundError
from postcopy.lab import libvirtd
from postcopy.lab.domain import LabDomain
from postcopy.lab.host import Host
from postcopy.lab.lab import Lab
from postcopy.lab.link import DataLink
from postcopy.lab.machine import GuestSpec

__all__ = ["LibvirtFloor", "LibvirtSubject", "kill_daemon"]


class LibvirtFloor:
    """A `postcopy.bench.faults.floor.Floor`.

    :param lab: the name of its lab.
    """

    name = "libvirt"
    kinds = frozenset(Kind)

    def __init__(self, lab: str) -> None:
        self._lab = Lab(lab)

    async def up(self, progress: Callable[[str], None]) -> None:
        await self._lab.down(progress=progress)
        await self._lab.up(progress=progress)

    async def down(self) -> None:
        await self._lab.down()

    def link(self) -> DataLink:
        return self._lab.link()

    async def boot(self, plan: RunPlan) -> "LibvirtSubject":
        hosts = [self._lab.host(name) for name in (SOURCE, DESTINATION)]
        await asyncio.gather(*(libvirtd.ensure(host) for host in hosts))
        spec = GuestSpec(name=plan.name, workload=plan.workload)
        return LibvirtSubject(await LabDomain.start(self._lab, spec, SOURCE), plan)


async def kill_daemon(host: Host) -> Mend:
    """Kill a host's libvirtd, and return what starts it again.

    :raises NotFoundError: when it does not run.
    """
    number = libvirtd.pid(host)
    if number is None:
        raise NotFoundError(f"libvirtd of {host.name} does not run", hint="has it crashed?")
    await host.run("kill", f"-{signal.SIGKILL}", str(number))

    async def start() -> None:
        while libvirtd.pid(host) == number:  # noqa: ASYNC110 - it is dying, and tells nobody
            await asyncio.sleep(0.01)
        await libvirtd.ensure(host)

    return start


class LibvirtSubject(LabSubject[LabDomain]):
    """A `postcopy.bench.faults.floor.Subject`."""

    def qemu(self, host: str) -> int | None:
        return self.guest.qemu(host)

    async def strike(self, fault: Fault) -> Mend:
        if fault.kind is Kind.DAEMON:
            host = SOURCE if fault.side is Side.SOURCE else DESTINATION
            return await kill_daemon(self.guest.hosts[host])
        return await super().strike(fault)

    async def look(self) -> Sight:
        return await look_for(self.guest.hosts, self.guest.uuid)

    def logs(self) -> Mapping[str, Path]:
        kept = {}
        for name, host in self.guest.hosts.items():
            kept[f"console-{name}.log"] = self.guest.console_log(name)
            kept[f"qemu-{name}.log"] = self.guest.qemu_log(name)
            kept[f"libvirtd-{name}.log"] = host.root_dir / "var/log/libvirt/libvirtd.log"
        return kept

    async def remove(self) -> None:
        hosts = self.guest.hosts
        # By force: one that hangs would hold up its daemon, too.
        doomed = {self.qemu(host) for host in hosts} - {None}
        await pids.end(lambda pid: pid in doomed)
        await asyncio.gather(*(libvirtd.ensure(host) for host in hosts.values()))
        await self.guest.stop()
        for name, host in hosts.items():
            self.guest.qemu_log(name).unlink(missing_ok=True)
            # The daemon writes on at the end of it.
            (host.root_dir / "var/log/libvirt/libvirtd.log").open("w").close()
