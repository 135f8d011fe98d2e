"""Domains of the lab, moved by ``virsh migrate`` with nobody to help: for comparison."""

import contextlib
from collections.abc import Callable

import libvirt

from postcopy.bench.faults.floor import DESTINATION, SOURCE
from postcopy.bench.faults.libvirt import LibvirtFloor, LibvirtSubject
from postcopy.bench.faults.model import Moment, RunPlan
from postcopy.lab import libvirtd
from postcopy.libvirt.connection import Connection, DomainEvent

__all__ = ["VirshFloor"]


class VirshFloor(LibvirtFloor):
    """A `postcopy.bench.faults.floor.Floor` on which nothing of this project moves the guests."""

    name = "virsh"

    async def boot(self, plan: RunPlan) -> "VirshSubject":
        return VirshSubject((await super().boot(plan)).guest, plan)


class VirshSubject(LibvirtSubject):
    """A `postcopy.bench.faults.floor.Subject` that nobody helps."""

    def migrate(self) -> list[str]:
        hosts = self.guest.hosts
        options = ("--live", "--p2p", "--persistent", "--undefinesource", "--postcopy")
        # virsh takes whole seconds, one at least.
        soon = ("--timeout", str(max(1, round(self.plan.switch_after))), "--timeout-postcopy")
        command = ("virsh", "migrate", *options, *soon, self.name)
        return hosts[SOURCE].command(*command, libvirtd.uris(hosts[DESTINATION])["peer"])

    def attach(self) -> list[str] | None:
        return None

    async def tell(self, come: Callable[[Moment], None]) -> None:
        """Hear of it from the source's libvirt: virsh says nothing until all is over."""
        connection = await Connection.open(libvirtd.uris(self.guest.hosts[SOURCE])["unix"])
        try:
            async with connection.events(self.guest.uuid) as events:
                while True:
                    for moment in moments_of(await events.get()):
                        come(moment)
        finally:
            with contextlib.suppress(libvirt.libvirtError):
                await connection.close()


def moments_of(event: DomainEvent) -> tuple[Moment, ...]:
    """Return the moments that an event of the source's libvirt announces."""
    if event.kind == "iteration" and event.detail == 1:
        return (Moment.PRECOPY,)
    switched = (libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY)
    if event.kind == "lifecycle" and (event.event, event.detail) == switched:
        return (Moment.SWITCH, Moment.EARLY, Moment.POSTCOPY)
    return ()
