"""What guests of the lab have in common under faults, whoever moves them."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from postcopy.bench.faults import monitor
from postcopy.bench.faults.floor import DESTINATION, SOURCE, Mend
from postcopy.bench.faults.model import Fault, Kind, Moment, RunPlan, Side
from postcopy.errors import NotFoundError
from postcopy.lab.domain import LabDomain
from postcopy.lab.guest import LabGuest
from postcopy.lab.observer import Observation
from postcopy.lab.openstack.server import LabServer
from postcopy.lab.records import Record, Verdict
from postcopy.processes import this_command

__all__ = ["LabSubject"]

Guest = TypeVar("Guest", bound=LabGuest | LabDomain | LabServer)


class LabSubject(ABC, Generic[Guest]):
    """The part of a `postcopy.bench.faults.floor.Subject` that is alike on every floor."""

    def __init__(self, guest: Guest, plan: RunPlan) -> None:
        self.guest = guest
        self.plan = plan

    @property
    def name(self) -> str:
        return self.guest.spec.name

    @abstractmethod
    def qemu(self, host: str) -> int | None:
        """Return the id, on this machine, of the guest's QEMU on a host."""

    def migrate(self) -> list[str]:
        where = [self.name, DESTINATION, "--lab", self.guest.lab.name]
        return this_command("migrate", *where, "--policy", self.plan.policy)

    def attach(self) -> list[str] | None:
        return this_command("attach", self.name)

    async def tell(self, come: Callable[[Moment], None]) -> None:
        """The command says it all."""

    async def strike(self, fault: Fault) -> Mend:
        if fault.kind is not Kind.MONITOR:
            raise ValueError(f"this floor has no {fault.kind}")
        host = SOURCE if fault.side is Side.SOURCE else DESTINATION
        pid = self.qemu(host)
        if pid is None:
            raise NotFoundError(f"there is no QEMU on {host} to stop", hint="was it over already?")
        return await monitor.stop(pid)

    async def verify(self) -> Verdict:
        return await self.guest.verify()

    def observe(self, started_at: float, ended_at: float) -> Observation:
        return self.guest.observe(started_at, ended_at)

    def heard(self, host: str) -> list[Record]:
        return self.guest.heard(host)
