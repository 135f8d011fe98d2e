"""What mends libvirt's configuration, its names, its certificates and what keeps others out.

`FIXES` is all of them. `Issuer` and `Peers` are what set-up brings: certificates, and where the
other hosts are.
"""

from postcopy.libvirt.readiness.fixes import network, settings, tls
from postcopy.libvirt.readiness.fixes.network import Peers
from postcopy.libvirt.readiness.fixes.settings import own_address
from postcopy.libvirt.readiness.fixes.tls import Issuer

__all__ = ["FIXES", "Issuer", "Peers", "own_address"]

FIXES = (*settings.FIXES, *network.FIXES, *tls.FIXES)
