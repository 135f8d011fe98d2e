"""The QEMU floor's checks: `CHECKS`. What it is, what it can, what it proves, how two agree."""

from postcopy.qemu.checks import able, pair, proven, version
from postcopy.qemu.checks.catalogue import CHECKS

__all__ = ["CHECKS", "version", "able", "proven", "pair"]
