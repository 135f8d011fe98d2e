"""How to move a domain: virsh's options, with virsh's meaning, as libvirt's flags and parameters.

Names and meanings are those of ``virsh migrate`` (virsh(1)); flags and parameters those of
``virDomainMigrateToURI3`` (libvirt-domain.h).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import libvirt

from postcopy.errors import RefusedError, UsageError

__all__ = ["LibvirtOptions"]

_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LibvirtOptions:
    """How to move a domain.

    :param persistent: define it at the destination; None does as it is at the source.
    :param undefinesource: undefine it at the source; None does as it is there.
    :param copy_storage: ``all`` or ``inc``: copy disks too, whole or on top of what is there.
    :param copy_storage_synchronous_writes: have each of the guest's writes reach both copies before
        it is done, so that copying disks ends however much is written.
    :param migrate_disks: copy only these disks (their targets, as ``vda``).
    :param bandwidth: the most to send before post-copy, in bytes a second; rounded up to MiB.
    :param postcopy_bandwidth: the same in post-copy.
    :param parallel: send over several connections.
    :param tls: encrypt what goes between the QEMUs.
    :param migrateuri: where the destination's QEMU listens, for the source's.
    :param listen_address: the address that it binds.
    :param dname: the domain's name at the destination.
    :param xml: its definition there, while it runs.
    :param persistent_xml: its definition there, for its next start.
    :param auto_converge: slow the guest down in pre-copy; post-copy lifts the brake.
    :param compressed: send differences of pages (xbzrle).
    :param unsafe: do without libvirt's check that both hosts see the same disks.
    :param postcopy: arm post-copy.
    :param recover_uri: where to listen and connect after a cut, ``tcp://HOST`` with or without a
        port, if that is not where the migration began: another network.
    """

    persistent: bool | None = None
    undefinesource: bool | None = None
    copy_storage: str | None = None
    copy_storage_synchronous_writes: bool = False
    migrate_disks: tuple[str, ...] = ()
    bandwidth: int | None = None
    postcopy_bandwidth: int | None = None
    parallel: bool = False
    tls: bool = False
    tunnelled: bool = False
    migrateuri: str | None = None
    listen_address: str | None = None
    dname: str | None = None
    xml: str | None = None
    persistent_xml: str | None = None
    auto_converge: bool = False
    compressed: bool = False
    unsafe: bool = False
    postcopy: bool = True
    downtime_limit: float = 0.3
    recover_uri: str | None = None

    def __post_init__(self) -> None:
        if self.copy_storage not in (None, "all", "inc"):
            raise UsageError(
                f"storage can be copied 'all' or 'inc', not {self.copy_storage!r}",
                hint="--copy-storage-all or --copy-storage-inc",
            )
        if self.migrate_disks and self.copy_storage is None:
            raise UsageError(
                "--migrate-disks names disks to copy, and no storage is to be copied",
                hint="add --copy-storage-all or --copy-storage-inc",
            )
        if self.copy_storage_synchronous_writes and self.copy_storage is None:
            raise UsageError(
                "--copy-storage-synchronous-writes says how to copy disks, and none are copied",
                hint="add --copy-storage-all or --copy-storage-inc",
            )
        if self.recover_uri is not None and not self.recover_uri.startswith("tcp://"):
            raise UsageError(
                f"{self.recover_uri!r} is no address that libvirt takes for migrations",
                hint="write tcp://HOST or tcp://HOST:PORT, an address of the destination's",
            )
        if self.persistent is False and self.persistent_xml is not None:
            raise UsageError(
                "--persistent-xml is for persistent domains, and --no-persistent makes it another",
                hint="leave one of them out",
            )
        if self.postcopy:
            self._refuse_what_excludes_postcopy()

    def _refuse_what_excludes_postcopy(self) -> None:
        if self.tunnelled:
            raise RefusedError(
                "a tunnelled migration cannot go over to post-copy: libvirtd passes the data on,"
                " and QEMU has no way to ask for a page",
                hint="leave --tunnelled out; --tls encrypts instead",
            )
        if self.compressed:
            raise RefusedError(
                "--compressed (xbzrle) excludes post-copy: migrations that switch with it fail",
                hint="leave it out, or use --policy precopy",
            )

    def flags(self, *, peer_to_peer: bool, persistent: bool) -> int:
        """Return ``VIR_MIGRATE_*``.

        :param persistent: whether the domain is, at the source.
        """
        flags: int = libvirt.VIR_MIGRATE_LIVE
        chosen = {
            "VIR_MIGRATE_PEER2PEER": peer_to_peer,
            "VIR_MIGRATE_POSTCOPY": self.postcopy,
            "VIR_MIGRATE_PERSIST_DEST": _or(self.persistent, persistent),
            "VIR_MIGRATE_UNDEFINE_SOURCE": _or(self.undefinesource, persistent),
            "VIR_MIGRATE_NON_SHARED_DISK": self.copy_storage == "all",
            "VIR_MIGRATE_NON_SHARED_INC": self.copy_storage == "inc",
            "VIR_MIGRATE_NON_SHARED_SYNCHRONOUS_WRITES": self.copy_storage_synchronous_writes,
            "VIR_MIGRATE_PARALLEL": self.parallel,
            "VIR_MIGRATE_TLS": self.tls,
            "VIR_MIGRATE_TUNNELLED": self.tunnelled,
            "VIR_MIGRATE_AUTO_CONVERGE": self.auto_converge,
            "VIR_MIGRATE_COMPRESSED": self.compressed,
            "VIR_MIGRATE_UNSAFE": self.unsafe,
        }
        for name, wanted in chosen.items():
            if not wanted:
                continue
            if not hasattr(libvirt, name):
                raise RefusedError(
                    f"this machine's libvirt library does not know {name}",
                    hint="it is older than the option; leave the option out or upgrade it",
                )
            flags |= getattr(libvirt, name)
        return flags

    def parameters(self) -> dict[str, Any]:
        """Return ``VIR_MIGRATE_PARAM_*``."""
        parameters: dict[str, Any] = {
            libvirt.VIR_MIGRATE_PARAM_URI: self.migrateuri,
            libvirt.VIR_MIGRATE_PARAM_LISTEN_ADDRESS: self.listen_address,
            libvirt.VIR_MIGRATE_PARAM_DEST_NAME: self.dname,
            libvirt.VIR_MIGRATE_PARAM_DEST_XML: self.xml,
            libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: self.persistent_xml,
            libvirt.VIR_MIGRATE_PARAM_BANDWIDTH: _mib(self.bandwidth),
            libvirt.VIR_MIGRATE_PARAM_BANDWIDTH_POSTCOPY: _mib(self.postcopy_bandwidth),
            libvirt.VIR_MIGRATE_PARAM_MIGRATE_DISKS: list(self.migrate_disks) or None,
        }
        return {name: value for name, value in parameters.items() if value is not None}

    def record(self) -> dict[str, Any]:
        """Return the options as plain values; without definitions, which may hold passwords.

        Whoever picks the migration up later has no use for them.
        """
        return {**asdict(self), "xml": None, "persistent_xml": None}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "LibvirtOptions":
        """Read what `record` wrote."""
        return cls(**{**record, "migrate_disks": tuple(record["migrate_disks"])})


def _or(chosen: bool | None, otherwise: bool) -> bool:
    return otherwise if chosen is None else chosen


def _mib(bytes_per_second: int | None) -> int | None:
    """libvirt counts bandwidth in MiB a second; rounding down could mean "not bounded"."""
    return None if bytes_per_second is None else -(-bytes_per_second // _MIB)
