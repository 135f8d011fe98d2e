"""What a witness boots from in a cloud: its kernel and initramfs, a disk, and a flavour. Blocking.

Nova hands a kernel its command line from the image, so each server has an image of its own. The
kernel and the initramfs belong to all.
"""

import hashlib
from pathlib import Path
from typing import Any

from postcopy.lab.witness import kernel_command_line
from postcopy.lab.workload import Workload

__all__ = ["create_image", "delete_image", "provide_flavor"]

_DISK_BYTES = 16 << 20
"""Enough for a block migration to have something to copy; the witness itself uses no disk."""

_BOOT_FLAG = slice(0x1FE, 0x200)
"""Of a kernel (Documentation/arch/x86/boot.rst), from the days of floppies: a partition table's."""


def create_image(cloud: Any, server: str, workload: Workload, kernel: Path, initramfs: Path) -> str:
    """Make the image that one server boots from and return its id."""
    parts = {
        "kernel_id": _provide(cloud, kernel, "aki"),
        "ramdisk_id": _provide(cloud, initramfs, "ari"),
    }
    image = cloud.image.create_image(
        _image_name(server),
        data=bytes(_DISK_BYTES),
        disk_format="raw",
        container_format="bare",
        validate_checksum=False,
        allow_duplicates=True,
        **parts,
        os_command_line=kernel_command_line(workload),
        # What it says, and what it is told; see witness.c.
        hw_serial_port_count="2",
        hw_disk_bus="virtio",
        hw_machine_type="pc",
    )
    return str(image.id)


def delete_image(cloud: Any, server: str) -> None:
    """Delete the images that a server was booted from, if there are any."""
    for image in cloud.image.images(name=_image_name(server)):
        cloud.image.delete_image(image)


def provide_flavor(cloud: Any, workload: Workload) -> str:
    """Return the id of a flavour with the memory that a workload needs."""
    name = f"witness-{workload.memory_mib}"
    flavor = cloud.compute.find_flavor(name)
    if flavor is None:
        from openstack.exceptions import ConflictException

        try:
            flavor = cloud.compute.create_flavor(
                name=name, ram=workload.memory_mib, vcpus=1, disk=0
            )
        except ConflictException:  # somebody else's server needs the same
            flavor = cloud.compute.find_flavor(name, ignore_missing=False)
    return str(flavor.id)


def _image_name(server: str) -> str:
    return f"witness-{server}"


def _provide(cloud: Any, file: Path, kind: str) -> str:
    content = _no_disk(file.read_bytes()) if kind == "aki" else file.read_bytes()
    name = f"{kind}-{hashlib.sha256(content).hexdigest()[:16]}"
    # Two that are made at the same moment are the same: either will do.
    found = next(iter(cloud.image.images(name=name)), None)
    if found is None:
        found = cloud.image.create_image(
            name,
            data=content,
            disk_format=kind,
            container_format=kind,
            visibility="public",
            validate_checksum=False,
        )
    return str(found.id)


def _no_disk(kernel: bytes) -> bytes:
    """Return a kernel that Nova's inspection of images does not take for a disk with partitions.

    QEMU goes by the header's signature behind the flag, and does not look at the flag.
    """
    content = bytearray(kernel)
    content[_BOOT_FLAG] = bytes(2)
    return bytes(content)
