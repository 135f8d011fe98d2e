"""The QEMU of a lab guest: which files it has, and which arguments. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from postcopy.errors import UsageError
from postcopy.lab.disk import Disk
from postcopy.lab.services.service import MAC, TAP, find_service
from postcopy.lab.witness import kernel_command_line
from postcopy.lab.workload import Workload

__all__ = ["ACCELERATORS", "GuestSpec", "command_line", "qemu_arguments"]

ACCELERATORS = ("tcg", "kvm")
_MOST_VCPUS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSpec:
    """What a lab guest is, wherever it runs.

    :param accelerator: ``tcg`` runs on any machine; ``kvm`` needs one that can really boot a guest.
    :param disk: only domains can have one.
    :param vcpus: how many there are; the workload's writers share them.
    :param second_monitor: whether a domain is made with the monitor that recovery past libvirt
        takes; most domains of the world have none.
    :param service: a server of `postcopy.lab.services` that runs in it as well.
    :param data_bytes: what that is given to hold.
    :param address: of the guest, with its prefix: ``198.19.0.100/24``; only with a server.
    """

    name: str
    workload: Workload
    accelerator: str = "tcg"
    disk: Disk | None = None
    vcpus: int = 1
    second_monitor: bool = True
    service: str | None = None
    data_bytes: int = 0
    address: str = ""

    def __post_init__(self) -> None:
        # The name becomes part of a unix socket's path, which may have 107 bytes in all.
        plain = self.name.replace("-", "").replace("_", "")
        if not (plain.isalnum() and plain.isascii() and len(self.name) <= 24):
            raise UsageError(
                f"{self.name!r} is not a name for a guest",
                hint="use at most 24 letters, digits, - and _",
            )
        if self.accelerator not in ACCELERATORS:
            raise UsageError(
                f"there is no accelerator {self.accelerator!r}",
                hint=f"choose one of: {', '.join(ACCELERATORS)}",
            )
        if not 1 <= self.vcpus <= _MOST_VCPUS:
            raise UsageError(f"{self.vcpus} vCPUs make no sense", hint=f"from 1 to {_MOST_VCPUS}")

    @property
    def memory_mib(self) -> int:
        """Its RAM in MiB: for its disk, a driver, a buffer and 4 bytes a block come on top."""
        most = 0 if self.disk is None else 16 + -(-self.disk.size_mib // 1024)
        if self.service is not None:
            most += find_service(self.service).memory_mib(self.data_bytes)
        return self.workload.memory_mib + most

    def to_dict(self) -> dict[str, Any]:
        """Return the guest as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "GuestSpec":
        """Read what `to_dict` wrote."""
        disk = data.get("disk")
        parts = {"workload": Workload(**data["workload"]), "disk": Disk(**disk) if disk else None}
        return cls(**{**data, **parts})


def qemu_arguments(
    spec: GuestSpec,
    kernel: PurePosixPath,
    initramfs: PurePosixPath,
    directory: PurePosixPath,
    *,
    machine: str = "pc",
    incoming: bool,
) -> list[str]:
    """Return the command line of the guest's QEMU on one host.

    :param kernel: inside the host, as is every path here.
    :param directory: where the monitors, serial lines and the process number go.
    :param machine: QEMU's machine type.
    :param incoming: wait for a guest that migrates in, instead of booting one.
    """
    arguments = [
        "qemu-system-x86_64",
        *("-name", spec.name),
        *("-machine", f"{machine},accel={spec.accelerator}"),
        *("-cpu", "qemu64" if spec.accelerator == "tcg" else "host"),
        *("-m", f"{spec.memory_mib}M"),
        *("-smp", str(spec.vcpus)),
        *("-display", "none"),
        "-nodefaults",
        "-no-user-config",
        *("-kernel", str(kernel)),
        *("-initrd", str(initramfs)),
        *("-append", command_line(spec)),
        *("-pidfile", str(directory / "qemu.pid")),
        # What QEMU complains of goes there: a daemon has no other place for it.
        *("-D", str(directory / "qemu.log"), "-d", "guest_errors"),
        "-daemonize",
    ]
    # The driver's two monitors, and one for the lab's own looks at the guest.
    for name in ("monitor", "rescue", "look"):
        arguments += ["-chardev", f"socket,id={name},path={directory / name},server=on,wait=off"]
        arguments += ["-mon", f"chardev={name},mode=control"]
    for name in ("console", "commands"):
        arguments += ["-chardev", f"socket,id={name},path={directory / name},server=on,wait=off"]
        arguments += ["-serial", f"chardev:{name}"]
    if spec.service is not None:
        arguments += ["-netdev", f"tap,id=net,ifname={TAP},script=no,downscript=no"]
        arguments += ["-device", f"virtio-net-pci,netdev=net,mac={MAC},romfile="]
    if incoming:
        arguments += ["-incoming", "defer"]
    return arguments


def command_line(spec: GuestSpec, disk: str | None = None) -> str:
    """Return the command line of the guest's kernel, which tells the witness what to do.

    :param disk: the device that its disk is to the guest, as in ``/dev/vda``; None without one.
    """
    # What the kernel does not know, init gets as its environment.
    server = f" witness.run=/serve address={spec.address}" if spec.service is not None else ""
    return kernel_command_line(spec.workload, disk) + server
