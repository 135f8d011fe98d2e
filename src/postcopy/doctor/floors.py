"""The floors that hosts are looked at on, from the lowest up: a new one is a line here."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from postcopy.doctor import libvirt
from postcopy.doctor.access import AccessFacts
from postcopy.doctor.checks import CHECKS as HOST_CHECKS
from postcopy.hosts import HostAccess
from postcopy.kernel.checks import CHECKS as KERNEL_CHECKS
from postcopy.kernel.facts import KernelFacts
from postcopy.libvirt.readiness import CHECKS as LIBVIRT_CHECKS
from postcopy.libvirt.readiness import GuestFacts, LibvirtFacts
from postcopy.nova.checks import CHECKS as NOVA_CHECKS
from postcopy.nova.facts import NovaFacts
from postcopy.qemu.checks import CHECKS as QEMU_CHECKS
from postcopy.qemu.facts import QemuFacts
from postcopy.readiness import Catalogue, GuestSubject, PairSubject

__all__ = ["FLOORS", "Floor", "GuestMeasure", "PairMeasure"]

PairMeasure = Callable[[HostAccess, HostAccess, PairSubject], Awaitable[Sequence[object]]]
"""Finds out what needs both hosts at work: given the ways into the source and the destination, and
what is known of them. Returns facts of the pair; raises `PostcopyError` where it cannot."""

GuestMeasure = Callable[[HostAccess, HostAccess, GuestSubject], Awaitable[Sequence[object]]]
"""The same for a guest on a pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """One floor.

    :ivar name: of its section in a probe's request and answer, and of its checks' layer.
    :ivar facts: the type of a host's facts; its ``of`` makes them of an `Evidence`.
    :ivar guest: the type of a guest's facts, made in the same way of the source's answer.
    :ivar measure: what it finds out about a pair beyond what each host said.
    :ivar measure_guest: the same for a guest.
    """

    name: str
    checks: Catalogue
    facts: type[Any] | None = None
    guest: type[Any] | None = None
    measure: PairMeasure | None = None
    measure_guest: GuestMeasure | None = None


FLOORS: Sequence[Floor] = (
    Floor(name="host", checks=HOST_CHECKS, facts=AccessFacts),
    Floor(name="kernel", checks=KERNEL_CHECKS, facts=KernelFacts),
    Floor(name="qemu", checks=QEMU_CHECKS, facts=QemuFacts),
    Floor(
        name="libvirt",
        checks=LIBVIRT_CHECKS,
        facts=LibvirtFacts,
        guest=GuestFacts,
        measure=libvirt.measure,
        measure_guest=libvirt.measure_guest,
    ),
    Floor(name="nova", checks=NOVA_CHECKS, facts=NovaFacts),
)
