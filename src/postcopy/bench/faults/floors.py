"""The floors that there are, by name, and what they are compared with."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from postcopy.bench.faults.floor import Floor
from postcopy.bench.faults.libvirt import LibvirtFloor
from postcopy.bench.faults.model import Kind, RunPlan
from postcopy.bench.faults.nova import NovaFloor
from postcopy.bench.faults.plan import plan_run
from postcopy.bench.faults.qemu import QemuFloor
from postcopy.bench.faults.virsh import VirshFloor

__all__ = ["FLOORS", "RIVALS", "USUAL", "make_floor", "plans_for"]


class _Maker(Protocol):
    """What makes a floor that has the lab of that name to itself."""

    kinds: frozenset[Kind]

    def __call__(self, lab: str) -> Floor: ...


FLOORS: dict[str, _Maker] = {"qemu": QemuFloor, "libvirt": LibvirtFloor, "nova": NovaFloor}
"""Where ``postcopy`` moves the guests."""

USUAL = ("qemu", "libvirt")
"""Those that a campaign is on if nobody says: a cloud takes its time."""

RIVALS: dict[str, tuple[_Maker, str]] = {"virsh": (VirshFloor, "libvirt")}
"""Where something else does, and the floor whose faults it meets."""


def make_floor(name: str, lab: str) -> Floor:
    """Return a floor of that name, or a rival's, that has a lab to itself."""
    maker = RIVALS[name][0] if name in RIVALS else FLOORS[name]
    return maker(lab)


def plans_for(name: str, seed: int, numbers: Iterable[int]) -> list[RunPlan]:
    """Return the runs of these numbers on a floor; a rival's are those of the floor it meets."""
    meets = RIVALS[name][1] if name in RIVALS else name
    plans = [plan_run(seed, number, meets, FLOORS[meets].kinds) for number in numbers]
    return [replace(plan, floor=name) for plan in plans]
