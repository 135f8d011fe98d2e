"""Where this project keeps what it writes.

========  ==========================  =================================================
directory  overridden by               holds
========  ==========================  =================================================
state      ``POSTCOPY_STATE_DIR``      the journal of runs, reports
cache      ``POSTCOPY_CACHE_DIR``      lab roots and guest kernels: safe to delete
runtime    ``POSTCOPY_RUNTIME_DIR``    labs that are up: sockets, logs; gone after a boot
========  ==========================  =================================================

State and cache follow the XDG base directories. The runtime directory must be short: a unix
socket's path may have 107 bytes (unix(7)).
"""

import os
from pathlib import Path

__all__ = ["cache_dir", "runtime_dir", "state_dir"]


def state_dir() -> Path:
    """Return the directory of the journal and the reports."""
    return _directory("POSTCOPY_STATE_DIR", "XDG_STATE_HOME", ".local/state")


def cache_dir() -> Path:
    """Return the directory of everything that can be built again."""
    return _directory("POSTCOPY_CACHE_DIR", "XDG_CACHE_HOME", ".cache")


def runtime_dir() -> Path:
    """Return the directory of what is running now."""
    override = os.environ.get("POSTCOPY_RUNTIME_DIR")
    return Path(override) if override else Path("/run/postcopy")


def _directory(override: str, base: str, default: str) -> Path:
    if path := os.environ.get(override):
        return Path(path)
    if root := os.environ.get(base):
        return Path(root) / "postcopy"
    return Path.home() / default / "postcopy"
