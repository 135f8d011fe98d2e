"""Where a guest that is to be measured is, and what is known of its way: for ``postcopy plan``."""

import contextlib
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from postcopy.cli import session
from postcopy.errors import JournalError, PostcopyError
from postcopy.forecast.inputs import Known
from postcopy.forecast.model import PAYLOAD
from postcopy.migration.outcome import Fate
from postcopy.plan.measured import Measured

if TYPE_CHECKING:
    from postcopy.hosts import HostAccess
    from postcopy.hosts.bandwidth import WayFound

__all__ = ["WayKnown", "measure", "way"]

_TRIED_FACTOR, _SHAPED_FACTOR, _SEEN_FACTOR = 1.05, 1.06, 1.3
# What sends is a small program: past this, in bytes a second, it may be what sets the pace.
_SENDER_BANDWIDTH, _AT_LEAST_FACTOR = 1.5e9, 1.5
_SHORTEST_TRIP, _TRIP_FACTOR = 2e-5, 1.5


async def measure(
    guest: str,
    source_uri: str | None,
    qmp: Path | None,
    lab_name: str,
    progress: Callable[[str], None],
    watch: float,
) -> Measured:
    """Measure a guest at a libvirt host, behind a QMP socket, or in a lab."""
    if source_uri is not None:
        from postcopy.libvirt.measure import measure as measure_domain

        return await measure_domain(source_uri, guest, progress, watch_seconds=watch)
    if qmp is not None:
        from postcopy.qemu.measure import measure as measure_qemu

        return await measure_qemu(qmp, guest, progress, watch_seconds=watch)
    return await _measure_in_lab(guest, lab_name, progress, watch)


async def _measure_in_lab(
    guest: str, lab_name: str, progress: Callable[[str], None], watch: float
) -> Measured:
    from postcopy.lab import libvirtd
    from postcopy.lab.find import find_guest
    from postcopy.lab.guest import LabGuest
    from postcopy.lab.lab import Lab
    from postcopy.lab.openstack.server import LabServer

    found = find_guest(Lab(lab_name), guest)
    host = await found.where()
    if isinstance(found, LabGuest):
        from postcopy.qemu.measure import measure as measure_qemu

        return await measure_qemu(
            found.sides[host].endpoint.monitor, guest, progress, watch_seconds=watch
        )
    from postcopy.libvirt.measure import measure as measure_domain

    domain = await found.domain_name(host) if isinstance(found, LabServer) else guest
    return await measure_domain(
        libvirtd.uris(found.hosts[host])["unix"], domain, progress, watch_seconds=watch
    )


@dataclass(frozen=True, slots=True)
class WayKnown:
    """What is known of the way that a guest would take.

    :param basis: how that is known, in words.
    """

    bandwidth: Known
    basis: str
    round_trip: Known | None = None


async def way(
    guest: str, destination: str, source_uri: str | None, lab_name: str, *, try_it: bool
) -> WayKnown | None:
    """Return what a way carries: found by sending, or as its lab shapes it, or as runs saw it.

    :param try_it: whether something may be sent over it, for half a second.
    """
    if try_it and (found := await _sent(guest, destination, source_uri, lab_name)) is not None:
        factor = _TRIED_FACTOR if found.bandwidth < _SENDER_BANDWIDTH else _AT_LEAST_FACTOR
        trip = Known(max(found.round_trip, _SHORTEST_TRIP), _TRIP_FACTOR)
        return WayKnown(Known(found.bandwidth, factor), "measured over it just now", trip)
    if source_uri is None:
        from postcopy.lab.lab import Lab

        with contextlib.suppress(PostcopyError):
            rate = (await Lab(lab_name).link().status()).rate
            if rate is not None:
                return WayKnown(Known(rate * PAYLOAD, _SHAPED_FACTOR), "as the lab shapes it")
    with contextlib.suppress(JournalError), session.open_journal() as journal:
        seen = [
            run.outcome.figures.transferred_bytes / run.outcome.total_seconds
            for run in journal.runs()
            if run.destination == destination
            and run.outcome is not None
            and run.outcome.fate is Fate.COMPLETED
            and run.outcome.figures.transferred_bytes
            and run.outcome.total_seconds > 0
        ]
        if seen:
            known = Known(statistics.median(seen), _SEEN_FACTOR)
            return WayKnown(known, f"as {len(seen)} earlier moves to {destination} saw it")
    return None


async def _sent(
    guest: str, destination: str, source_uri: str | None, lab_name: str
) -> "WayFound | None":
    """Send over the way where both hosts can be reached; None where they cannot, or it fails."""
    from postcopy.hosts.bandwidth import measure_way

    with contextlib.suppress(PostcopyError):
        async with contextlib.AsyncExitStack() as stack:
            if source_uri is not None:
                ends = await _hosts_of_uris(source_uri, destination, stack)
            else:
                ends = await _hosts_of_lab(guest, destination, lab_name)
            if ends is not None:
                return await measure_way(*ends)
    return None


async def _hosts_of_uris(
    source_uri: str, destination: str, stack: contextlib.AsyncExitStack
) -> "tuple[HostAccess, HostAccess, str] | None":
    from postcopy.hosts import connect
    from postcopy.hosts.ways import host_of_uri, migration_address

    names = [host_of_uri(uri) for uri in (source_uri, destination)]
    if names[0] is None or names[1] is None:
        return None
    source, there = (connect(name) for name in names if name is not None)
    stack.push_async_callback(source.close)
    stack.push_async_callback(there.close)
    address = await migration_address(there) or urlsplit(destination).hostname
    return (source, there, address) if address else None


async def _hosts_of_lab(
    guest: str, destination: str, lab_name: str
) -> "tuple[HostAccess, HostAccess, str] | None":
    from postcopy.lab.find import find_guest
    from postcopy.lab.lab import Lab

    lab = Lab(lab_name)
    source = await find_guest(lab, guest).where()
    if destination == source:
        return None
    there = lab.host(destination)
    return lab.host(source).access(), there.access(), there.data_address
