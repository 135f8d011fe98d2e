"""A guard over libvirt hosts: finds interrupted post-copies, whoever began them, and recovers them.

Start with `Guard`: it keeps a `Window` on each host, puts together what they show (`pair`, which is
pure), and has a `Tender` see each guest in post-copy to its end (`Duties`). It holds nothing that
the hosts do not: one that is killed is replaced by another.
"""

from postcopy.watch.guard import Guard, Report
from postcopy.watch.notice import Kind, Notice
from postcopy.watch.sighting import Sighting, Spread, State, pair
from postcopy.watch.tender import Means, Tender
from postcopy.watch.window import LibvirtWindow, Window

__all__ = [
    "Guard",
    "Report",
    "Notice",
    "Kind",
    "pair",
    "Spread",
    "Sighting",
    "State",
    "Window",
    "LibvirtWindow",
    "Tender",
    "Means",
]
