"""The kernel floor's checks: `CHECKS`. A module for each part of the kernel lists its own there."""

from postcopy.kernel.checks import cpu, memory, network, userfaultfd
from postcopy.kernel.checks.catalogue import CHECKS

__all__ = ["CHECKS", "userfaultfd", "memory", "network", "cpu"]
