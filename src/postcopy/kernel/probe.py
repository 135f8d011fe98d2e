"""What the kernel floor wants to know of a host.

Runs on the hosts that are looked at, with their Python (3.9 or newer) and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from postcopy.probe import collect as look

__all__ = ["collect"]

_FILES = (
    "/etc/os-release",
    "/proc/meminfo",
    "/proc/sys/vm/unprivileged_userfaultfd",
    "/proc/sys/kernel/osrelease",
    "/dev/userfaultfd",
)


def collect(_request: Mapping[str, Any]) -> dict[str, Any]:
    """Look at what the kernel says of itself."""
    return {"files": look.files(*_FILES)}
