"""Bare guests of the lab, moved between two QEMUs."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from postcopy import pids
from postcopy.bench.faults.floor import SOURCE, Copy, Sight
from postcopy.bench.faults.model import Kind, RunPlan
from postcopy.bench.faults.subject import LabSubject
from postcopy.errors import PostcopyError
from postcopy.lab.guest import LabGuest
from postcopy.lab.lab import Lab
from postcopy.lab.link import DataLink
from postcopy.lab.machine import GuestSpec

__all__ = ["QemuFloor"]


class QemuFloor:
    """A `postcopy.bench.faults.floor.Floor`.

    :param lab: the name of its lab.
    """

    name = "qemu"
    kinds = frozenset(Kind) - {Kind.DAEMON}

    def __init__(self, lab: str) -> None:
        self._lab = Lab(lab)

    async def up(self, progress: Callable[[str], None]) -> None:
        await self._lab.down(progress=progress)
        await self._lab.up(progress=progress)

    async def down(self) -> None:
        await self._lab.down()

    def link(self) -> DataLink:
        return self._lab.link()

    async def boot(self, plan: RunPlan) -> "QemuSubject":
        spec = GuestSpec(name=plan.name, workload=plan.workload)
        return QemuSubject(await LabGuest.start(self._lab, spec, SOURCE), plan)


class QemuSubject(LabSubject[LabGuest]):
    """A `postcopy.bench.faults.floor.Subject`."""

    def qemu(self, host: str) -> int | None:
        return self.guest.sides[host].pid

    async def look(self) -> Sight:
        found = await asyncio.gather(*(self._look(host) for host in self.guest.sides))
        copies = tuple(copy for copy, _ in found if copy is not None)
        left = [copy for copy in copies if not copy.running]
        records = "; ".join(f"a QEMU is left on {copy.host}, {copy.state}" for copy in left)
        return Sight(copies, records, settled=all(settled for _, settled in found))

    async def _look(self, host: str) -> tuple[Copy | None, bool]:
        """Return what is on a host, and whether no migration is under way or broken there."""
        try:
            state = await self.guest.sides[host].look()
        except PostcopyError as error:
            return Copy(host, error.message, running=False), False
        if state is None:
            return None, True
        said = f"{state.run_state} (migration: {state.migration})"
        return Copy(host, said, state.run_state == "running"), not state.migrating

    def logs(self) -> Mapping[str, Path]:
        sides = self.guest.sides.items()
        kept = {f"console-{host}.log": side.console_log for host, side in sides}
        return kept | {f"qemu-{host}.log": side.log for host, side in sides}

    async def remove(self) -> None:
        # By force: one that hangs hears no request to end.
        doomed = {side.pid for side in self.guest.sides.values()} - {None}
        await pids.end(lambda pid: pid in doomed)
        await self.guest.stop()
