"""libvirtd in a lab host: Debian's, as a plain process, configured for migrations on the data link.

Its sockets are in the host's runtime directory, so the machine reaches it too. It listens on TCP
without authentication, on the addresses of a lab, which nothing but this machine can reach; and on
TLS, for those with a certificate of the lab's authority (`postcopy.lab.credentials`).
"""

import asyncio
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from postcopy.errors import UnavailableError
from postcopy.lab.credentials import keys_directory, ssh_command
from postcopy.lab.disk import SHARED
from postcopy.lab.host import Host

__all__ = ["domain_states", "ensure", "host_uuid", "pid", "template", "uris"]

_PID_FILE = "/run/libvirtd.pid"
_SOCKETS = "libvirt"
_START_SECONDS = 20.0
_NAMESPACE = uuid.UUID("6f1a5d0e-6d1c-4a53-9d3f-0a0f3c1f7f52")

# The defaults for what a machine with systemd, dbus and a firewall would need, switched off.
# libvirt before 10.8 passes over `shared_filesystems`; there, shared disks need --unsafe.
_QEMU = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
migration_address = "{data}"
migration_host = "{data}"
shared_filesystems = [ "{shared}" ]
"""

_LIBVIRTD = """\
host_uuid = "{uuid}"
listen_tls = 1
listen_tcp = 1
listen_addr = "0.0.0.0"
auth_tcp = "none"
auth_tls = "none"
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""


def host_uuid(host: Host) -> str:
    """Return the UUID that a host goes by: always the same for that host of that lab."""
    return str(uuid.uuid5(_NAMESPACE, f"{host.lab}/{host.name}"))


def uris(host: Host) -> dict[str, str]:
    """Return the libvirt URIs of a host, by kind.

    ``unix``, ``tcp``, ``tls`` and ``ssh`` are for this machine; ``peer`` (TCP), ``peer_tls`` and
    ``peer_ssh`` for the other host, whose keys are where libvirt looks without being told.
    """
    address = host.control_address
    return {
        "unix": template(host.runtime_dir.parent).replace("{host}", host.name),
        "tcp": f"qemu+tcp://{address}/system",
        "tls": f"qemu+tls://{address}/system?pkipath={keys_directory(host)}",
        # libvirt's ssh transport has no option for a file of known hosts: the command knows it.
        "ssh": f"qemu+ssh://root@{address}/system?command={ssh_command(host)}",
        "peer": f"qemu+tcp://{address}/system",
        "peer_tls": f"qemu+tls://{address}/system",
        "peer_ssh": f"qemu+ssh://root@{address}/system",
    }


def template(directory: Path) -> str:
    """Return the ``unix`` URI of any host of a lab, with ``{host}`` for its name.

    :param directory: the lab's runtime directory.
    """
    return f"qemu+unix:///system?socket={directory}/{{host}}/{_SOCKETS}/libvirt-sock"


def pid(host: Host) -> int | None:
    """Return the daemon's process number inside the host, or None when it does not run."""
    return host.daemon(_PID_FILE, "libvirtd")


async def domain_states(hosts: Mapping[str, Host], domain: str) -> dict[str, str]:
    """Return what each daemon says of a domain, by host; nothing where it is not known.

    :param domain: its name or UUID.
    """
    told = await asyncio.gather(
        *(
            host.run("virsh", "domstate", domain, check=False, timeout=10.0)
            for host in hosts.values()
        )
    )
    return {
        name: answer.stdout.strip()
        for name, answer in zip(hosts, told, strict=True)
        if answer.returncode == 0
    }


async def ensure(host: Host) -> None:
    """Start the daemon if it does not run, and return when it answers.

    :raises UnavailableError: when it does not come up.
    """
    if pid(host) is None:
        _configure(host)
        await host.run("/usr/sbin/libvirtd", "--daemon", "--listen", "--pid-file", _PID_FILE)
    deadline = time.monotonic() + _START_SECONDS
    while True:
        asked = await host.run(
            *("virsh", "--connect", "qemu:///system", "uri"), check=False, timeout=_START_SECONDS
        )
        if asked.returncode == 0:
            return
        if pid(host) is None or time.monotonic() > deadline:
            log = host.root_dir / "var/log/libvirt/libvirtd.log"
            raise UnavailableError(
                f"libvirtd of host {host.name} does not come up: {_last_error(log)}",
                hint=f"see {log}",
            )
        await asyncio.sleep(0.02)


def _last_error(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "it has written no log"
    errors = [line.partition(" : ")[2] for line in lines if ": error :" in line]
    return errors[-1] if errors else "its log has no error"


def _configure(host: Host) -> None:
    etc = host.root_dir / "etc/libvirt"
    for directory in (etc, host.root_dir / "var/log/libvirt", host.runtime_dir / _SOCKETS):
        directory.mkdir(parents=True, exist_ok=True)
    sockets = host.root_dir / "run/libvirt"
    if not sockets.is_symlink():
        sockets.symlink_to(Path("postcopy") / _SOCKETS)
    (etc / "libvirtd.conf").write_text(_LIBVIRTD.format(uuid=host_uuid(host)))
    (etc / "qemu.conf").write_text(_QEMU.format(data=host.data_address, shared=SHARED))
