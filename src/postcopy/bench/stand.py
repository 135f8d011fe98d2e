"""The guest of one scenario, standing in a lab, ready to be moved."""

from postcopy.bench.scenario import Scenario
from postcopy.lab import names
from postcopy.lab.domain import LabDomain
from postcopy.lab.guest import LabGuest
from postcopy.lab.lab import Lab
from postcopy.lab.link import DataLink

__all__ = ["GUEST", "BenchGuest", "boot", "clear", "shape"]

GUEST = "bench"
"""What every guest of a benchmark is called: there is one at a time."""

BenchGuest = LabGuest | LabDomain


async def boot(lab: Lab, scenario: Scenario) -> BenchGuest:
    """Shape the link and start the guest of a scenario; one that an earlier run left is ended.

    :raises UnavailableError: when it does not boot.
    """
    await clear(lab)
    await shape(lab.link(), scenario.link)
    kind = LabDomain if scenario.floor == "libvirt" else LabGuest
    return await kind.start(lab, scenario.guest_spec(GUEST), names.HOSTS[0])


async def clear(lab: Lab) -> None:
    """End whatever guest of a benchmark there is."""
    for kind in (LabGuest, LabDomain):
        if GUEST in kind.names(lab):
            await kind.load(lab, GUEST).stop()


async def shape(link: DataLink, rate: int | None) -> None:
    """Have the data link carry so many bytes a second, or as many as it can."""
    await link.up()
    await (link.unlimit() if rate is None else link.set_rate(rate))
