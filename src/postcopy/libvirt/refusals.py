"""What libvirt refuses about storage and timing, explained: what it means and what to do about it.

libvirt's own words are kept; a table adds the hint. Codes are ``VIR_ERR_*``; where one code has
several causes, a part of the message tells them apart. The messages are those of libvirt 11.3.
"""

from dataclasses import dataclass

import libvirt

from postcopy.errors import PostcopyError, RefusedError, RetryableError

__all__ = ["explain"]


@dataclass(frozen=True, slots=True)
class _Refusal:
    code: int
    part: str
    hint: str
    fate: type[PostcopyError] = RefusedError


_TABLE = (
    _Refusal(
        libvirt.VIR_ERR_MIGRATE_UNSAFE,
        "without shared storage",
        "copy the disks: --copy-storage-all. If both hosts do see them, name their directory in"
        " shared_filesystems in /etc/libvirt/qemu.conf of both (libvirt 10.9 and newer), or say"
        " --unsafe",
    ),
    _Refusal(
        libvirt.VIR_ERR_MIGRATE_UNSAFE,
        "",
        "give the disks cache='none' in the domain's definition, or say --unsafe if the hosts"
        " cannot see different contents",
    ),
    _Refusal(
        libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
        "incremental storage migration",
        "--copy-storage-inc fills an image that is there: copy the backing image to the"
        " destination, and make one on top of it under the same path as at the source: qemu-img"
        " create -f qcow2 -b BACKING -F qcow2 PATH",
    ),
    _Refusal(
        libvirt.VIR_ERR_NO_STORAGE_POOL,
        "target path",
        "libvirt makes missing images only in directories that are a storage pool of the"
        " destination: define one there (virsh pool-create-as default dir --target DIRECTORY), or"
        " make an image of the same size under the same path: qemu-img create -f qcow2 PATH SIZE",
    ),
    _Refusal(
        libvirt.VIR_ERR_SYSTEM_ERROR,
        "Cannot access storage file",
        "the destination lacks that image. If its storage pool believes that it is there, so that"
        " libvirt does not make it: virsh pool-refresh POOL; else make it: qemu-img create -f qcow2"
        " PATH SIZE",
    ),
    _Refusal(
        libvirt.VIR_ERR_INTERNAL_ERROR,
        "/etc/pki/qemu",
        "--tls needs certificates for QEMU on both hosts, in the directory that"
        " migrate_tls_x509_cert_dir names in qemu.conf: ca-cert.pem, server-*.pem, client-*.pem",
    ),
    _Refusal(
        libvirt.VIR_ERR_INTERNAL_ERROR,
        "Failed to bind socket",
        "--listen-address and --migrateuri name an address of the destination's",
    ),
    _Refusal(
        libvirt.VIR_ERR_INTERNAL_ERROR,
        "migrate-start-postcopy",
        "no memory moves yet: disks may still be being copied",
        RetryableError,
    ),
)


def explain(error: libvirt.libvirtError, where: str) -> PostcopyError | None:
    """Return a refusal with what to do about it, or None where nothing is known."""
    code, text = error.get_error_code(), error.get_error_message() or ""
    for known in _TABLE:
        if code == known.code and known.part in text:
            return known.fate(f"{where}: {text}", hint=known.hint)
    return None
