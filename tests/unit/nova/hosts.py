"""Compute hosts as probes describe them."""

from pathlib import Path
from typing import Any

from postcopy.nova.facts import NovaFacts
from postcopy.nova.options import blank
from postcopy.qemu.facts import QemuFacts
from postcopy.readiness import Evidence, Facts, Files, HostSubject

DATA = Path(__file__).parent / "data"
NOVA_CONF = (DATA / "debian-13-nova.conf").read_text()
COMPUTE_CONF = "[DEFAULT]\ncompute_driver=libvirt.LibvirtDriver\n[libvirt]\nvirt_type=kvm\n"

NOVA, COMPUTE = "/etc/nova/nova.conf", "/etc/nova/nova-compute.conf"
NOVA_D, COMPUTE_D = "/etc/nova/nova.conf.d", "/etc/nova/nova-compute.conf.d"

DEBIAN = [["directory", NOVA_D], ["directory", COMPUTE_D], ["file", NOVA], ["file", COMPUTE]]
"""Debian's unit names its files, so they are read last."""

PLAIN = [["file", NOVA], ["file", COMPUTE], ["directory", NOVA_D], ["directory", COMPUTE_D]]
"""nova-compute without arguments."""

SOUND = """\
live_migration_permit_post_copy = true
live_migration_timeout_action = force_complete
live_migration_completion_timeout = 15
live_migration_inbound_addr = 10.0.0.1
"""

GUEST = {
    "name": "web1",
    "state": "running",
    "reason": "booted",
    "job": "",
    "memory_bytes": 64 << 30,
}


def evidence(texts: dict[str, str], layout: list[list[str]] | None = None, **more: Any) -> Evidence:
    """Return what a probe brings back from a host with these files."""
    raw: dict[str, Any] = {
        "compute": True,
        "release": "31.0.0",
        "process": {"pid": 7, "uid": 64060, "started": 1000.0, "environment": {}},
        "unit": {"name": "nova-compute.service", "program": "/etc/init.d/nova-compute"},
        "kolla": False,
        "layout": layout or DEBIAN,
        "files": {path: {"text": blank(text), "mode": 0o640} for path, text in texts.items()},
        "changed": dict.fromkeys(texts, 900.0),
        "addresses": [["127.0.0.1", "8", "lo"], ["10.0.0.1", "24", "data"], ["fe80::1", "64", "x"]],
        "names": {},
        "my_ip": "10.0.0.1",
        "hostname": "alpha",
        "guests": [GUEST],
        "proofs": {"libvirt": {"user": "nova", "socket": "/run/libvirt/libvirt-sock", "error": ""}},
    }
    return Evidence({**raw, **more})


def host(files: dict[str, str], layout: list[list[str]] | None = None, **more: Any) -> HostSubject:
    """Return a compute host with these files, whole ones at hand for fixes."""
    facts = NovaFacts.of(evidence(files, layout, **more))
    version = {"argv": ["qemu"], "code": 0, "out": "QEMU emulator version 10.0.13 (Debian)"}
    qemu = QemuFacts.of(Evidence({"commands": {"version": version}}))
    return HostSubject("alpha", Facts([facts, qemu, Files({**files})]))


def debian(libvirt: str = "", default: str = "", more: str = "", **about: Any) -> HostSubject:
    """Return a Debian 13 host with lines added to its sections."""
    text = NOVA_CONF.replace("\n[libvirt]\n", f"\n[libvirt]\n{libvirt}", 1)
    text = text.replace("[DEFAULT]\n", f"[DEFAULT]\n{default}", 1) + more
    return host({NOVA: text, COMPUTE: COMPUTE_CONF}, **about)


def sound(libvirt: str = "", default: str = "", more: str = "", **about: Any) -> HostSubject:
    """Return one that no check finds fault with, and lines added to its sections."""
    settled = "update_resources_interval = 600\n"
    return debian(SOUND + libvirt, settled + default, more, **about)
