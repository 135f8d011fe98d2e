"""Gives a host libvirt's hook by which domains arrive with a second monitor: a plan like any other.

It is for guests whose definitions others write, as Nova does: a QEMU that hangs after a cut hears
nobody but a session that was opened before, and libvirt holds the only monitor.
"""

import inspect

from postcopy.hosts import HostAccess
from postcopy.libvirt import arrival_hook
from postcopy.readiness import FileChange, Restart
from postcopy.setup.files import HostFiles
from postcopy.setup.plan import Plan

__all__ = ["PATH", "plan_hook", "propose_hook"]

PATH = "/etc/libvirt/hooks/qemu.d/postcopy"
"""Beside hooks of others, which libvirt runs too (since 6.5)."""


def plan_hook(host: str, held: str | None) -> Plan:
    """Plan the hook. Pure; where it is there already, nothing is left to do.

    :param held: what `PATH` holds now; None where it is not there.
    """
    text = f"#!/usr/bin/python3\n{inspect.getsource(arrival_hook)}"
    if held == text:
        return Plan(host)
    file = FileChange(
        path=PATH,
        before=held,
        after=text,
        mode=0o755,
        why="domains that migrate to this host have a second monitor while they run here",
    )
    # The daemon looks for hooks when it starts.
    restart = Restart(service="libvirtd.service", why="libvirt looks for hooks when it starts")
    return Plan(host, (file,), (), (restart,), mends=("libvirt.hook.arrival",))


async def propose_hook(host: HostAccess) -> Plan:
    """Look at what a host has, and plan the hook.

    :raises UnavailableError: when the host does not answer.
    """
    found = await HostFiles(host).look([PATH])
    return plan_hook(host.name, found[PATH].text())
