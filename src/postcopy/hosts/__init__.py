"""Reaching hosts: this machine, one behind SSH, one of the lab. Start with `connect`.

A `HostAccess` runs commands there; `probe` has a host tell what checks want to know. Nothing is
installed on a host for that.
"""

from postcopy.hosts.access import HostAccess
from postcopy.hosts.connect import connect
from postcopy.hosts.local import LocalHost
from postcopy.hosts.program import ProbeError, probe
from postcopy.hosts.spec import HostSpec, LocalSpec, NamedSpec, SshSpec, parse

__all__ = [
    "connect",
    "HostAccess",
    "LocalHost",
    "probe",
    "ProbeError",
    "HostSpec",
    "LocalSpec",
    "NamedSpec",
    "SshSpec",
    "parse",
]
