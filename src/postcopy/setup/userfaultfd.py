"""Which way QEMU is given userfaultfd: the device for its user alone, or a sysctl for everybody.

The device is better where it works: nobody else on the host gains anything by it. It works where
the kernel has ``/dev/userfaultfd`` (Linux 6.1), QEMU opens it (8.1) and sees it: libvirt gives each
QEMU a ``/dev`` of its own, with the devices of a list. Elsewhere ``vm.unprivileged_userfaultfd``
it is, which lets every user have faults that the kernel takes, as before Linux 5.11.
"""

import re
from collections.abc import Sequence

from postcopy.kernel.facts import KernelFacts
from postcopy.kernel.fixes import sysctl
from postcopy.libvirt.readiness.facts import LibvirtFacts
from postcopy.readiness import Change, Command, FileChange, Files, Fix, HostSubject, MissingFacts

__all__ = ["FIX", "device_objection"]

_SYSCTL = "/etc/sysctl.d/60-postcopy-userfaultfd.conf"
_UDEV = "/etc/udev/rules.d/60-postcopy-userfaultfd.rules"
_DEVICE = "/dev/userfaultfd"
_OPENED_SINCE = (8, 1, 0)
"""QEMU tries the device before the system call (``util/userfaultfd.c``)."""


def device_objection(kernel: KernelFacts, libvirt: LibvirtFacts | None) -> str:
    """Return why the device is not the way on a host; empty where it is."""
    if not kernel.device.exists:
        return f"Linux {kernel.release or '(unknown)'} has no {_DEVICE}, which came with 6.1"
    if libvirt is None:
        return ""
    if libvirt.qemu_version is not None and libvirt.qemu_version < _OPENED_SINCE:
        version = ".".join(map(str, libvirt.qemu_version))
        return f"QEMU {version} does not open {_DEVICE}; 8.1 does"
    listed = libvirt.device_listed or libvirt.qemu.words("cgroup_device_acl") is not None
    if libvirt.mount_namespace and not listed:  # a list of the operator's own is mended too
        return f"libvirt gives QEMU a /dev of its own, without {_DEVICE}"
    return ""


def _plan(host: HostSubject) -> Sequence[Change]:
    kernel, files = host.facts.of(KernelFacts), host.facts.of(Files)
    if kernel.account is None or not re.fullmatch(r"[\w.-]+\$?", kernel.account.name):
        raise MissingFacts("it is not known which user QEMU runs as")
    objection = device_objection(kernel, host.facts.find(LibvirtFacts))
    if objection:
        why = f"every user may have page faults of the kernel, QEMU's among them: {objection}"
        return sysctl(
            _SYSCTL,
            files.text(_SYSCTL),
            "vm.unprivileged_userfaultfd",
            1,
            kernel.unprivileged or 0,
            why,
        )
    user = kernel.account.name
    rule = (
        f"# QEMU's user may use userfaultfd, and nobody else: post-copy needs it.\n"
        f'KERNEL=="userfaultfd", SUBSYSTEM=="misc", OWNER="{user}", MODE="0600"\n'
    )
    return (
        FileChange(
            path=_UDEV,
            before=files.text(_UDEV),
            after=rule,
            why=f"{user}, whom QEMU runs as, gets {_DEVICE} at every boot; the sysctl would open"
            " userfaultfd to everybody",
        ),
        Command(
            argv=("chown", user, _DEVICE),
            why="now too, not only after the next boot",
            undo=("chown", str(kernel.device.uid or 0), _DEVICE),
        ),
    )


FIX = Fix(
    id="kernel.userfaultfd",
    title="QEMU's user may use userfaultfd",
    plan=_plan,
    reads=(_SYSCTL, _UDEV),
    order=10,
)
