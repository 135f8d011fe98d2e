"""The libvirt floor: domains moved between any two libvirt hosts. Start with `LibvirtDriver`."""

from postcopy.libvirt.connection import Connection
from postcopy.libvirt.driver import LibvirtDriver
from postcopy.libvirt.options import LibvirtOptions

__all__ = ["LibvirtDriver", "LibvirtOptions", "Connection"]
