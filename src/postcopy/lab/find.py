"""Guests of a lab by name, whether Nova runs them, libvirt, or a QEMU of their own."""

from postcopy.lab.domain import LabDomain
from postcopy.lab.guest import LabGuest
from postcopy.lab.lab import Lab
from postcopy.lab.openstack.server import LabServer

__all__ = ["all_guests", "find_guest"]


def find_guest(lab: Lab, name: str) -> LabGuest | LabDomain | LabServer:
    """Return the guest of that name.

    :raises NotFoundError: when the lab has none.
    :raises UnavailableError: when the lab is not up.
    """
    if name in LabServer.names(lab):
        return LabServer.load(lab, name)
    return LabDomain.load(lab, name) if name in LabDomain.names(lab) else LabGuest.load(lab, name)


def all_guests(lab: Lab) -> list[LabGuest | LabDomain | LabServer]:
    """Return every guest of a lab that is up, by name."""
    known = {*LabGuest.names(lab), *LabDomain.names(lab), *LabServer.names(lab)}
    return [find_guest(lab, name) for name in sorted(known)]
