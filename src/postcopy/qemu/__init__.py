"""The QEMU floor: guests moved over QEMU's own monitor protocol. Start with `QemuDriver`."""

from postcopy.qemu.driver import QemuDriver
from postcopy.qemu.monitor import Monitor
from postcopy.qemu.options import Endpoint, MigrationOptions

__all__ = ["QemuDriver", "Endpoint", "MigrationOptions", "Monitor"]
