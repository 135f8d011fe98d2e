"""The floors that there are, by name."""

from postcopy.bench.faults.floor import Floor
from postcopy.bench.faults.qemu import QemuFloor
from postcopy.errors import UsageError

__all__ = ["FLOORS", "make_floor"]

FLOORS = {"qemu": QemuFloor}


def make_floor(name: str, lab: str) -> Floor:
    """Return a floor that has the lab of that name to itself.

    :raises UsageError: when there is no such floor.
    """
    try:
        return FLOORS[name](lab)
    except KeyError:
        raise UsageError(
            f"there is no floor {name!r}", hint=f"choose from: {', '.join(FLOORS)}"
        ) from None
