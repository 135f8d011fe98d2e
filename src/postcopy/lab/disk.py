"""The disk of a lab guest: a qcow2 image on its host, or where both hosts see it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from postcopy.errors import UsageError
from postcopy.lab.host import Host

__all__ = ["SHARED", "Disk", "create", "remove"]

SHARED = PurePosixPath("/mnt/shared")
"""Inside a host: the directory that all hosts of a lab share."""

_OWN = PurePosixPath("/var/lib/libvirt/images")
_MOST_MIB = 16384


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk that its guest fills, rewrites and verifies.

    :ivar size_mib: as the guest sees it, in MiB.
    :ivar shared: in a directory that both hosts share, instead of the host's own.
    :raises UsageError: when the size makes no sense.
    """

    size_mib: int
    shared: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.size_mib <= _MOST_MIB:
            raise UsageError(
                f"a disk of {self.size_mib} MiB makes no sense",
                hint=f"from 1 to {_MOST_MIB} is possible",
            )

    def path(self, guest: str) -> PurePosixPath:
        """Return where the image is, inside a host."""
        return (SHARED if self.shared else _OWN) / f"{guest}.qcow2"


async def create(disk: Disk, guest: str, host: Host, hosts: Iterable[Host]) -> None:
    """Make an empty image on a host.

    :param hosts: all of the lab's: each gets a storage pool, in which libvirt may make a copy.
    """
    await asyncio.gather(*map(_ensure_pool, hosts))
    path = str(disk.path(guest))
    await host.run("qemu-img", "create", "-q", "-f", "qcow2", path, f"{disk.size_mib}M")


async def remove(guest: str, hosts: Iterable[Host]) -> None:
    """Remove a guest's images wherever they are, snapshots (``GUEST.NAME``) too."""
    for host in hosts:
        # A guest's name holds nothing that means something to a shell, and no dot. A pool that is
        # not told believes in an image that is gone, and libvirt then makes no new one.
        images = f"rm -f {_OWN}/{guest}.* {SHARED}/{guest}.*"
        await host.run("sh", "-c", f"{images}; virsh pool-refresh default", check=False)


async def _ensure_pool(host: Host) -> None:
    """Have the pool that virt-install makes, too: where libvirt makes missing images by itself."""
    script = f"""
virsh pool-info default >/dev/null 2>&1 ||
    virsh pool-define-as default dir --target {_OWN} >/dev/null
mkdir -p {_OWN}
virsh pool-list --name | grep -qx default || virsh pool-start default >/dev/null
virsh pool-autostart default >/dev/null
"""
    await host.run("sh", "-ec", script)
