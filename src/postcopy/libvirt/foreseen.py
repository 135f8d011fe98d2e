"""How a migration that has not begun would be recovered, should its link break in post-copy."""

import libvirt

from postcopy.libvirt.ends import Ends
from postcopy.libvirt.monitor import monitor_of
from postcopy.libvirt.route import Situation, choose
from postcopy.libvirt.ways import Ways

__all__ = ["foreseen"]


async def foreseen(ends: Ends, domain: libvirt.virDomain, ways: Ways) -> str:
    """Return the way in words, or what it lacks.

    :param ends: connections to both hosts.
    :param domain: the domain, at the source.
    """
    source, _ = await ends.source.versions()
    destination, _ = await ends.destination.versions()
    prepared = monitor_of(await ends.source.call(domain.XMLDesc, 0)) is not None
    into = ways.destination
    route = choose(
        Situation(
            source=source,
            destination=destination,
            source_monitor=prepared and ways.source is not None,
            # One that has none arrives with one.
            destination_monitor=into is not None,
            destination_way=into is not None,
            able_to_cut=into is not None and await into.able_to_cut(),
        )
    )
    return route.obstacle or str(route)
