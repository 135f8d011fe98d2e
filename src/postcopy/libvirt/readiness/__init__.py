"""Whether libvirt on a host, on a pair of hosts, and a domain on a pair are ready for post-copy.

`LibvirtFacts` is what is so of a host, `PathFacts` what was found out about the way between two,
`GuestFacts` and `ArrivalFacts` what is so of a domain and of its destination; `CHECKS` judges.

`probe`, `listen`, `dial` and `arrive` run on the hosts that are looked at.
"""

from postcopy.libvirt.readiness.checks import CHECKS
from postcopy.libvirt.readiness.facts import LibvirtFacts
from postcopy.libvirt.readiness.guest import ArrivalFacts, GuestFacts
from postcopy.libvirt.readiness.path import PathFacts

__all__ = ["CHECKS", "LibvirtFacts", "PathFacts", "GuestFacts", "ArrivalFacts"]
