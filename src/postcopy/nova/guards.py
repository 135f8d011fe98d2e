"""What must be so before a server is moved: each guard says why, and what lifts it."""

from collections.abc import Mapping
from typing import Any

from postcopy.errors import RefusedError, UsageError

__all__ = ["BANDWIDTH_HINT", "HOW_TO_KNOW", "check", "host_of", "paused"]

BANDWIDTH_HINT = "live_migration_bandwidth in nova.conf bounds all that leave a host"

HOW_TO_KNOW = (
    "have its nova.conf looked at: --check-host 'ssh://{host}'; or say that it is permitted:"
    " --postcopy-permitted; or allow a pause: --allow-pause; or never switch: --policy precopy"
)

_PAUSED = 3


def host_of(name: str, server: Mapping[str, Any]) -> str:
    """Return the host that a server is on.

    :raises RefusedError: when it is on none, or Nova does not tell.
    """
    if "OS-EXT-SRV-ATTR:host" not in server:
        raise RefusedError(
            f"Nova does not tell where server {name!r} is",
            hint="live migrations need an administrator's rights",
        )
    host = server["OS-EXT-SRV-ATTR:host"]
    if not host:
        raise RefusedError(
            f"server {name!r} is on no host ({server.get('status')})",
            hint="one that is shelved, or was never scheduled, cannot be moved live",
        )
    return str(host)


def paused(server: Mapping[str, Any]) -> bool:
    """Return whether Nova knows the guest to stand still."""
    return server.get("OS-EXT-STS:power_state") == _PAUSED


def check(name: str, host: str | None, server: Mapping[str, Any]) -> list[str]:
    """Return what a user should know of a server that can be moved.

    :param host: where to; None leaves it to the scheduler.
    :raises RefusedError: when it cannot be moved live now.
    :raises UsageError: when it is there already.
    """
    task, status = server.get("OS-EXT-STS:task_state"), server.get("status")
    if task:
        raise RefusedError(
            f"server {name!r} is busy: {task}",
            hint=f"if it migrates, follow it: postcopy attach {name}"
            if task == "migrating"
            else "try again when that is done",
        )
    if status not in ("ACTIVE", "PAUSED"):
        raise RefusedError(
            f"server {name!r} is {status}, and only a running one moves live",
            hint=f"openstack server show {name}",
        )
    if host is not None and host == host_of(name, server):
        raise UsageError(f"server {name!r} is on {host} already", hint="name another host")
    if server.get("locked"):
        return [f"server {name!r} is locked: only an administrator may move it"]
    return []
