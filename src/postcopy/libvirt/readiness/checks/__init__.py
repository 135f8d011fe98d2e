"""What the libvirt floor checks; `CHECKS` lists it all."""

from postcopy.libvirt.readiness.checks import (  # noqa: F401 - each lists its checks
    certificate,
    guest,
    guest_memory,
    host,
    network,
    pair,
    recovery,
)
from postcopy.libvirt.readiness.checks.catalogue import CHECKS

__all__ = ["CHECKS"]
