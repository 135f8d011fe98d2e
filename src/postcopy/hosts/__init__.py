"""Reaching hosts: this machine, one behind SSH, one of the lab. Start with `connect`.

A `HostAccess` runs commands and reads and writes files there; `probe` has a host tell what checks
want to know. Nothing is installed on a host for that.
"""

from postcopy.hosts.access import HostAccess
from postcopy.hosts.local import LocalHost
from postcopy.hosts.program import ProbeError, probe

__all__ = ["HostAccess", "LocalHost", "probe", "ProbeError"]
