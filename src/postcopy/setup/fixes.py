"""All fixes by id: a floor with fixes is a line here."""

from collections.abc import Mapping

from postcopy.kernel.fixes import FIXES as KERNEL
from postcopy.libvirt.readiness.fixes import FIXES as LIBVIRT
from postcopy.nova.fixes import FIXES as NOVA
from postcopy.readiness import Fix
from postcopy.setup import userfaultfd

__all__ = ["all_fixes"]


def all_fixes() -> Mapping[str, Fix]:
    """Return every fix of every floor."""
    return {fix.id: fix for fix in (*KERNEL, userfaultfd.FIX, *LIBVIRT, *NOVA)}
