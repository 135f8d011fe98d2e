"""Where a guest that is to be measured is, and what is known of its way: for ``postcopy plan``."""

import contextlib
import statistics
from collections.abc import Callable
from pathlib import Path

from postcopy.cli import session
from postcopy.errors import JournalError, PostcopyError
from postcopy.forecast.inputs import Known
from postcopy.migration.outcome import Fate
from postcopy.plan.measured import Measured

__all__ = ["PAYLOAD", "bandwidth", "measure"]

PAYLOAD = 0.952
"""Headers take the rest of a link (TCP over Ethernet, frames of 1500 bytes)."""

_SHAPED_FACTOR, _SEEN_FACTOR = 1.06, 1.3


async def measure(
    guest: str,
    source_uri: str | None,
    qmp: Path | None,
    lab_name: str,
    progress: Callable[[str], None],
) -> Measured:
    """Measure a guest at a libvirt host, behind a QMP socket, or in a lab."""
    if source_uri is not None:
        from postcopy.libvirt.measure import measure as measure_domain

        return await measure_domain(source_uri, guest, progress)
    if qmp is not None:
        from postcopy.qemu.measure import measure as measure_qemu

        return await measure_qemu(qmp, guest, progress)
    return await _measure_in_lab(guest, lab_name, progress)


async def _measure_in_lab(guest: str, lab_name: str, progress: Callable[[str], None]) -> Measured:
    from postcopy.lab import libvirtd
    from postcopy.lab.find import find_guest
    from postcopy.lab.guest import LabGuest
    from postcopy.lab.lab import Lab
    from postcopy.lab.openstack.server import LabServer

    found = find_guest(Lab(lab_name), guest)
    host = await found.where()
    if isinstance(found, LabGuest):
        from postcopy.qemu.measure import measure as measure_qemu

        return await measure_qemu(found.sides[host].endpoint.monitor, guest, progress)
    from postcopy.libvirt.measure import measure as measure_domain

    domain = await found.domain_name(host) if isinstance(found, LabServer) else guest
    return await measure_domain(libvirtd.uris(found.hosts[host])["unix"], domain, progress)


async def bandwidth(destination: str, source_uri: str | None, lab_name: str) -> Known | None:
    """Return what a way carries: as its lab shapes it, or as earlier runs to that host saw it."""
    if source_uri is None:
        from postcopy.lab.lab import Lab

        with contextlib.suppress(PostcopyError):
            rate = (await Lab(lab_name).link().status()).rate
            if rate is not None:
                return Known(rate * PAYLOAD, _SHAPED_FACTOR)
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
            return Known(statistics.median(seen), _SEEN_FACTOR)
    return None
