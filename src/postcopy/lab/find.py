"""Guests of a lab by name, whether libvirt runs them or a QEMU of their own does."""

from postcopy.lab.domain import LabDomain
from postcopy.lab.guest import LabGuest
from postcopy.lab.lab import Lab

__all__ = ["all_guests", "find_guest"]


def find_guest(lab: Lab, name: str) -> LabGuest | LabDomain:
    """Return the guest of that name.

    :raises NotFoundError: when the lab has none.
    :raises UnavailableError: when the lab is not up.
    """
    return LabDomain.load(lab, name) if name in LabDomain.names(lab) else LabGuest.load(lab, name)


def all_guests(lab: Lab) -> list[LabGuest | LabDomain]:
    """Return every guest of a lab that is up, by name."""
    known = {*LabGuest.names(lab), *LabDomain.names(lab)}
    return [find_guest(lab, name) for name in sorted(known)]
