"""What a lab's libvirt hosts and domains are made of, as far as that is pure."""

import select
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from postcopy.errors import UsageError
from postcopy.lab import libvirtd, recorder
from postcopy.lab.boot import BootFiles
from postcopy.lab.disk import Disk
from postcopy.lab.domain import domain_xml
from postcopy.lab.host import Host
from postcopy.lab.machine import GuestSpec
from postcopy.lab.records import Ready, read_log
from postcopy.lab.services.service import BRIDGE, MAC
from postcopy.lab.workload import Workload

INSIDE = PurePosixPath("/run/postcopy")
FILES = BootFiles(INSIDE / "vmlinuz", INSIDE / "cpio", INSIDE / "r.py", "pc-i440fx-10.0")

UUID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


def host(name: str, lab: str = "default") -> Host:
    runtime = Path("/run/postcopy/lab") / lab / name
    return Host(lab, name, 1, "198.18.0.1", "198.19.0.1", runtime)


@pytest.mark.parametrize(("accelerator", "kind"), [("tcg", "qemu"), ("kvm", "kvm")])
def test_a_domain_boots_the_witness_and_has_two_ports(accelerator: str, kind: str) -> None:
    spec = GuestSpec(name="web1", workload=Workload(64, 32), accelerator=accelerator)
    tree = ET.fromstring(domain_xml(spec, FILES, UUID))
    assert tree.get("type") == kind
    assert tree.findtext("name") == "web1"
    machine = tree.find("os/type")
    assert machine is not None
    assert machine.get("machine") == "pc-i440fx-10.0"
    assert tree.findtext("uuid") == UUID
    assert tree.findtext("os/kernel") == "/run/postcopy/vmlinuz"
    assert "witness.cold=64" in tree.findtext("os/cmdline", "")
    paths = [source.get("path", "") for source in tree.iterfind("devices/serial/source")]
    assert [Path(path).name for path in paths] == ["web1.console", "web1.commands"]
    assert tree.findtext("memory") == str(spec.workload.memory_mib)


@pytest.mark.parametrize(
    ("shared", "path"),
    [(False, "/var/lib/libvirt/images/web1.qcow2"), (True, "/mnt/shared/web1.qcow2")],
)
def test_a_disk_is_attached_and_the_guest_told(shared: bool, path: str) -> None:
    plain = GuestSpec(name="web1", workload=Workload(64, 32))
    spec = replace(plain, disk=Disk(2048, shared))
    tree = ET.fromstring(domain_xml(spec, FILES, UUID))
    [disk] = tree.iterfind("devices/disk")
    assert [(e.tag, dict(e.attrib)) for e in disk] == [
        ("driver", {"name": "qemu", "type": "qcow2"}),
        ("source", {"file": path}),
        ("target", {"dev": "vda", "bus": "virtio"}),
    ]
    assert tree.findtext("os/cmdline", "").endswith(" witness.disk=/dev/vda")
    assert int(tree.findtext("memory", "")) > plain.workload.memory_mib
    assert GuestSpec.from_dict(spec.to_dict()) == spec


def test_a_server_has_a_link_of_its_own_an_address_and_room() -> None:
    plain = GuestSpec(name="web1", workload=Workload(16, 0))
    spec = replace(plain, service="redis", data_bytes=64 << 20, address="198.19.0.100/24")
    tree = ET.fromstring(domain_xml(spec, FILES, UUID))
    [link] = tree.iterfind("devices/interface")
    assert link.get("type") == "bridge"
    assert [(e.tag, dict(e.attrib)) for e in link] == [
        ("mac", {"address": MAC}),
        ("source", {"bridge": BRIDGE}),
        ("model", {"type": "virtio"}),
        ("rom", {"enabled": "no"}),
    ]
    words = tree.findtext("os/cmdline", "")
    assert words.endswith(" witness.run=/serve address=198.19.0.100/24")
    assert int(tree.findtext("memory", "")) - plain.memory_mib >= 64 * 1.4


def test_without_a_disk_or_a_server_there_is_no_trace_of_one() -> None:
    spec = GuestSpec(name="web1", workload=Workload(64, 32))
    text = domain_xml(spec, FILES, UUID)
    assert "disk" not in text
    assert "interface" not in text
    assert ET.fromstring(text).findtext("memory") == str(spec.workload.memory_mib)


@pytest.mark.parametrize("size_mib", [0, -1, 1 << 20])
def test_a_disk_of_nonsense_is_refused(size_mib: int) -> None:
    with pytest.raises(UsageError, match="makes no sense"):
        Disk(size_mib)


def test_every_host_of_every_lab_has_a_uuid_of_its_own_for_good() -> None:
    hosts = [host(name, lab) for lab in ("default", "other") for name in ("alpha", "beta")]
    assert len({libvirtd.host_uuid(one) for one in hosts}) == 4
    assert libvirtd.host_uuid(hosts[0]) == libvirtd.host_uuid(host("alpha"))


def test_uris_say_how_a_host_is_reached() -> None:
    uris = libvirtd.uris(host("alpha"))
    assert uris["tcp"] == "qemu+tcp://198.19.0.1/system"
    assert uris["unix"].endswith("?socket=/run/postcopy/lab/default/alpha/libvirt/libvirt-sock")


def test_a_recorder_that_stays_survives_a_qemu_that_never_took_its_call(tmp_path: Path) -> None:
    path, log = str(tmp_path / "port"), tmp_path / "log"
    with socket.create_server(path, family=socket.AF_UNIX) as never_accepts:
        staying = subprocess.Popen([sys.executable, "-I", recorder.__file__, path, log, "stay"])
        assert select.select([never_accepts], [], [], 10)[0]
    Path(path).unlink()
    try:
        with socket.create_server(path, family=socket.AF_UNIX) as server:
            server.settimeout(10)
            taken, _ = server.accept()
            taken.close()
    finally:
        staying.terminate()
        assert staying.wait(5) == 0


def test_a_recorder_that_stays_hears_a_guest_that_comes_back(tmp_path: Path) -> None:
    script = "import socket,sys; s=socket.create_server(sys.argv[1], family=socket.AF_UNIX);"
    script += " c,_=s.accept(); c.sendall(sys.argv[2].encode())"
    port, log = tmp_path / "port", tmp_path / "log"
    staying = subprocess.Popen(
        [sys.executable, "-I", recorder.__file__, str(port), str(log), "stay"]
    )
    try:
        for pages in (1, 2):
            port.unlink(missing_ok=True)
            guest = [sys.executable, "-c", script, str(port), f"READY cold=1 pages={pages}\n"]
            subprocess.run(guest, check=True, timeout=10)
        deadline = time.monotonic() + 5
        while len(read_log(log)) < 2 and time.monotonic() < deadline:
            threading.Event().wait(0.02)
        assert [record.pages for record in read_log(log) if isinstance(record, Ready)] == [1, 2]
    finally:
        staying.terminate()
        assert staying.wait(5) == 0
