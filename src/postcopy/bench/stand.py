"""The guest of one scenario, standing in a lab, ready to be moved."""

import asyncio
from dataclasses import dataclass, replace

from postcopy.bench.load.load import Load
from postcopy.bench.scenario import QUEUES, Scenario
from postcopy.lab import names
from postcopy.lab.domain import LabDomain
from postcopy.lab.guest import LabGuest
from postcopy.lab.lab import Lab
from postcopy.lab.link import DataLink
from postcopy.lab.services import network
from postcopy.lab.services.service import find_service
from postcopy.lab.state import directory

__all__ = ["GUEST", "BenchGuest", "Stand", "boot", "clear", "shape"]

GUEST = "postcopy-bench"
"""What every guest of a benchmark is called: there is one at a time, and nobody else's has it."""

BenchGuest = LabGuest | LabDomain

# A server that has just started is slow, and so is an emulator that has just seen its program.
_WARM_UP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Stand:
    """A guest that runs, and the users of its server if it has one."""

    guest: BenchGuest
    load: Load | None = None

    async def close(self) -> None:
        """Let its users go. The guest is ended by `clear`."""
        if self.load is not None:
            await self.load.stop()


async def boot(lab: Lab, scenario: Scenario) -> Stand:
    """Shape the link and start the guest of a scenario; one that an earlier run left is ended.

    :raises UnavailableError: when it does not boot, or its server does not answer.
    """
    await clear(lab)
    await shape(lab.link(), scenario.link, scenario.queue)
    spec = scenario.guest_spec(GUEST)
    kind = LabDomain if scenario.floor == "libvirt" else LabGuest
    if spec.service is None:
        return Stand(await kind.start(lab, spec, names.HOSTS[0]))
    await network.ensure(lab)
    address = network.guest_address(lab)
    spec = replace(spec, address=f"{address}/{names.PREFIX_LENGTH}")
    guest = await kind.start(lab, spec, names.HOSTS[0])
    service = find_service(scenario.workload)
    log = directory(lab.name) / f"{GUEST}.answers"
    load = await Load.start(service, address, scenario.memory_bytes, log)
    await asyncio.sleep(_WARM_UP_SECONDS)
    return Stand(guest, load)


async def clear(lab: Lab) -> None:
    """End whatever guest of a benchmark there is."""
    for kind in (LabGuest, LabDomain):
        if GUEST in kind.names(lab):
            await kind.load(lab, GUEST).stop()


async def shape(link: DataLink, rate: int | None, queue: str = QUEUES[0]) -> None:
    """Have the data link carry so many bytes a second, or as many as it can."""
    await link.up()
    await (link.unlimit() if rate is None else link.set_rate(rate, fair=queue == "fair"))
