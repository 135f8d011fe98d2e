"""What the libvirt floor wants to know of a host, and of a guest on it.

Runs on the hosts that are looked at, with their Python (3.9 or newer) and nothing else.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from postcopy.probe import collect as look

__all__ = ["collect"]

_ETC = "/etc/libvirt"
_URI = "qemu:///system"
_AT_ONCE = 6
_BLOCKERS = '{"execute":"query-migrate"}'
"""The one thing that QEMU is asked past libvirt, which notes that in its log and cannot tell it."""

_FILES = (
    *(f"{_ETC}/{name}.conf" for name in ("libvirtd", "virtqemud", "virtproxyd", "qemu")),
    "/etc/os-release",
    "/proc/meminfo",
    "/proc/sys/vm/unprivileged_userfaultfd",
    "/sys/kernel/mm/hugepages/*/free_hugepages",
    "/sys/kernel/mm/hugepages/*/nr_hugepages",
)
_ONLY_THERE = (
    "/dev/userfaultfd",
    "/run/libvirt/virtlogd-sock",
    "/run/libvirt/virtlockd-sock",
    "/etc/pki/libvirt-migrate",
)
_COMMANDS = {
    "version": ("virsh", "-c", _URI, "version"),
    "capabilities": ("virsh", "-c", _URI, "capabilities"),
    "domcapabilities": ("virsh", "-c", _URI, "domcapabilities"),
    "domains": ("virsh", "-c", _URI, "list", "--all", "--uuid", "--name"),
    "running": ("virsh", "-c", _URI, "domstats", "--balloon", "--list-active", "--nowait"),
    "pools": ("virsh", "-c", _URI, "pool-list", "--all", "--details"),
    "nft": ("nft", "-j", "list", "ruleset"),
    "iptables": ("iptables-save",),
    "addresses": ("ip", "-o", "addr"),
    "units": ("systemctl", "is-active", "libvirtd.service", "virtqemud.socket",
              "libvirtd-tcp.socket", "libvirtd-tls.socket", "firewalld.service"),
}  # fmt: skip

_GUEST_COMMANDS = {
    "guest-xml": ("dumpxml",),
    "guest-state": ("domstate", "--reason"),
    "guest-job": ("domjobinfo",),
    "guest-snapshots": ("snapshot-list", "--name"),
    "guest-checkpoints": ("checkpoint-list", "--name"),
    "guest-disks": ("domblklist", "--details"),
}


def collect(request: Mapping[str, Any]) -> dict[str, Any]:
    """Look at libvirt's configuration, ask its daemon, and look at what surrounds both.

    :param request: ``guest`` is a guest's name, for `postcopy.libvirt.readiness.guest` too.
    """
    commands = dict(_COMMANDS)
    guest = request.get("guest")
    if isinstance(guest, str) and guest:
        for name, verb in _GUEST_COMMANDS.items():
            commands[name] = ("virsh", "-c", _URI, verb[0], *verb[1:], "--domain", guest)
        monitor = ("virsh", "-c", _URI, "qemu-monitor-command", "--domain", guest)
        commands["guest-query-migrate"] = (*monitor, _BLOCKERS)
    host = socket.gethostname()
    commands["resolved"] = ("getent", "ahosts", host)
    conf = "\n".join(look.lines(f"{_ETC}/qemu.conf"))
    for kind, database in (("user", "passwd"), ("group", "group")):
        names = {_setting(conf, kind), _setting(conf, f"#{kind}"), "libvirt-qemu", "qemu", "root"}
        for name in sorted(names - {""}):
            commands[f"{kind} {name}"] = ("getent", database, name.lstrip("+"))
    told = _run_all(commands)
    found = look.files(*_FILES)
    found.update(look.files(*_ONLY_THERE, content=False))
    found.update(_certificates(conf))
    if "guest-disks" in told:
        told.update(_storage(told["guest-disks"].get("out", "")))
    return {
        "files": found,
        "commands": told,
        "hostname": host,
        "now": time.time(),
        "listening": _listening(),
    }


def _run_all(commands: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Run commands side by side, and return what each said by its name."""
    waiting = list(commands.items())
    told: dict[str, Any] = {}

    def work() -> None:
        while waiting:
            try:
                name, argv = waiting.pop(0)
            except IndexError:
                return
            told[name] = look.run(argv)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(_AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def _certificates(qemu_conf: str) -> dict[str, Any]:
    """Look at certificates, which are public, and only at the outside of keys."""
    daemon = "\n".join(
        line for name in ("libvirtd", "virtproxyd") for line in look.lines(f"{_ETC}/{name}.conf")
    )
    public = {
        _setting(daemon, "ca_file") or "/etc/pki/CA/cacert.pem",
        _setting(daemon, "cert_file") or "/etc/pki/libvirt/servercert.pem",
        "/etc/pki/libvirt/clientcert.pem",
    }
    secret = {
        _setting(daemon, "key_file") or "/etc/pki/libvirt/private/serverkey.pem",
        "/etc/pki/libvirt/private/clientkey.pem",
    }
    directories = {
        _setting(qemu_conf, "migrate_tls_x509_cert_dir"),
        _setting(qemu_conf, "default_tls_x509_cert_dir"),
        "/etc/pki/libvirt-migrate",
        "/etc/pki/qemu",
    }
    for directory in directories - {""}:
        public |= {f"{directory}/{name}-cert.pem" for name in ("ca", "server", "client")}
        secret |= {f"{directory}/{name}-key.pem" for name in ("server", "client")}
    told = look.files(*sorted(public))
    told.update(look.files(*sorted(secret), content=False))
    return told


def _setting(conf: str, key: str) -> str:
    found = re.findall(rf"^{key}\s*=\s*[\"']([^\"'\n]*)[\"']", conf, re.MULTILINE)
    return found[-1] if found else ""


def _listening() -> list[list[Any]]:
    """Return the address, as the kernel's hexadecimal digits, and the port of each TCP listener."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with Path(table).open() as stream:
                for line in stream:
                    words = line.split()
                    if len(words) > 3 and words[3] == "0A":
                        address, _, port = words[1].partition(":")
                        found.append([address, int(port, 16)])
        except (OSError, ValueError):
            continue
    return found


def _storage(table: str) -> dict[str, Any]:
    """Say what file system each disk of a guest is on."""
    told = {}
    for line in table.splitlines()[2:]:
        words = line.split(None, 3)
        if len(words) == 4 and words[3].startswith("/"):
            path = words[3].strip()
            told[f"storage {path}"] = look.run(["stat", "-f", "-c", "%T", path])
    return told
