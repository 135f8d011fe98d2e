"""What is so of one guest, and of what its destination has for it."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from postcopy.libvirt.readiness import markup
from postcopy.libvirt.readiness.path import CpuVerdict
from postcopy.readiness import Evidence

__all__ = ["ArrivalFacts", "Disk", "GuestFacts"]

_UNITS = {
    "b": 1, "bytes": 1, "kb": 10**3, "k": 1 << 10, "kib": 1 << 10, "mb": 10**6, "m": 1 << 20,
    "mib": 1 << 20, "gb": 10**9, "g": 1 << 30, "gib": 1 << 30, "tb": 10**12, "t": 1 << 40,
    "tib": 1 << 40,
}  # fmt: skip

_NOVA = "http://openstack.org/xmlns/libvirt/nova/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """One disk.

    :ivar kind: ``file``, ``block``, ``network``, ...
    :ivar source: its path; empty where it has none, or no medium.
    :ivar cache: QEMU's cache mode; empty for its default.
    :ivar filesystem: what it lies on at the source, by ``stat``'s names; empty if unknown.
    """

    target: str
    kind: str
    source: str = ""
    cache: str = ""
    readonly: bool = False
    filesystem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestFacts:
    """What is so of one guest at its source.

    :ivar error: why nothing else is known; empty where it is.
    :ivar xml: its definition as it runs.
    :ivar state: libvirt's word, and `reason` what goes with it.
    :ivar job: libvirt's word for the job that is under way; empty where there is none.
    :ivar emulated: whether it runs under TCG.
    :ivar memory_bytes: the most that it may have.
    :ivar huge_page_bytes: the size of its pages where they are huge; 0 where the default is meant.
        None where they are not huge.
    :ivar memory_source: ``anonymous``, ``memfd`` or ``file``; empty for libvirt's default.
    :ivar memory_locked: whether all of it is locked.
    :ivar host_devices: handed to it, each in words.
    :ivar vhost_user: devices that another process serves.
    :ivar filesystems: directories of the host that it shares, each with the driver.
    :ivar nvdimms: memory devices that keep what they hold.
    :ivar shared_memory: ivshmem devices, each with its role.
    :ivar protected: kind of memory encryption; empty without.
    :ivar cpu_mode: ``host-passthrough``, ``host-model``, ``custom``, ``maximum``.
    :ivar tpm: backend of its TPM; empty without.
    :ivar blocked: reasons that QEMU itself gives against a migration; None where it did not say.
    :ivar snapshots: names of snapshots and checkpoints.
    """

    error: str
    name: str
    uuid: str
    xml: str
    state: str
    reason: str
    job: str
    emulated: bool
    machine: str
    memory_bytes: int
    huge_page_bytes: int | None
    memory_source: str
    memory_locked: bool
    host_devices: tuple[str, ...]
    vhost_user: tuple[str, ...]
    filesystems: tuple[str, ...]
    nvdimms: tuple[str, ...]
    shared_memory: tuple[str, ...]
    protected: str
    cpu_mode: str
    tpm: str
    disks: tuple[Disk, ...]
    blocked: tuple[str, ...] | None
    snapshots: tuple[str, ...]

    @classmethod
    def of(cls, evidence: Evidence) -> "GuestFacts":
        """Read what the source's probe brought back of a guest; never raises."""
        dumped = evidence.ran("guest-xml")
        tree = markup.parse(dumped.out) if dumped.ok else None
        said = (dumped.err.strip() or dumped.error).splitlines()
        if tree is None or tree.tag != "domain":
            error = "its definition cannot be read" if dumped.ok else (said or ["not there"])[-1]
            tree, error = ET.Element("domain"), error[:200]
        else:
            error = ""
        state, reason = _state(evidence.ran("guest-state").out)
        return cls(
            error=error,
            name=tree.findtext("name", ""),
            uuid=tree.findtext("uuid", "").lower(),
            xml="" if error else dumped.out.strip(),
            state=state,
            reason=reason,
            job=_job(evidence.ran("guest-job").out),
            emulated=tree.get("type") == "qemu",
            machine=_attribute(tree, "os/type", "machine"),
            memory_bytes=_size(tree.find("memory")) or 0,
            huge_page_bytes=_huge_page(tree),
            memory_source=_attribute(tree, "memoryBacking/source", "type"),
            memory_locked=tree.find("memoryBacking/locked") is not None,
            host_devices=_host_devices(tree),
            vhost_user=_vhost_user(tree),
            filesystems=_filesystems(tree),
            nvdimms=tuple(
                device.get("model", "")
                for device in tree.iterfind("devices/memory")
                if device.get("model") in ("nvdimm", "virtio-pmem")
            ),
            shared_memory=tuple(
                f"{device.get('name', '')} ({device.get('role') or 'master'})"
                for device in tree.iterfind("devices/shmem")
            ),
            protected=_attribute(tree, "launchSecurity", "type"),
            cpu_mode=_attribute(tree, "cpu", "mode") or "custom",
            tpm=_attribute(tree, "devices/tpm/backend", "type"),
            disks=_disks(tree, evidence),
            blocked=_blocked(evidence.ran("guest-query-migrate").out),
            snapshots=tuple(
                line.strip()
                for name in ("guest-snapshots", "guest-checkpoints")
                if evidence.ran(name).ok
                for line in evidence.ran(name).out.splitlines()
                if line.strip()
            ),
        )

    @property
    def by_nova(self) -> bool:
        """Whether Nova has made it, as the note says that it leaves in a definition."""
        return _NOVA in self.xml


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalFacts:
    """What a destination has for one guest.

    :ivar files: which of its disks' paths are there, each with the file system below it.
    :ivar swtpm: whether there is a program that gives it a TPM.
    :ivar cpu: how the guest's CPU compares with what the destination can give.
    :ivar cpu_error: why that is not known.
    """

    files: Mapping[str, str]
    swtpm: bool
    cpu: CpuVerdict
    cpu_error: str

    @classmethod
    def of(cls, evidence: Evidence) -> "ArrivalFacts":
        """Read what `arrive.collect` told; never raises."""
        compared = evidence.ran("cpu-compare")
        return cls(
            files={
                file.path: evidence.ran(f"storage {file.path}").out.strip()
                for file in evidence.files("/")
            },
            swtpm=evidence.ran("swtpm").ok,
            cpu=CpuVerdict.of(compared),
            cpu_error=(compared.err.strip() or compared.error).split("\n")[-1][:200],
        )


def _attribute(tree: ET.Element, path: str, name: str) -> str:
    found = tree.find(path)
    return found.get(name, "") if found is not None else ""


def _state(text: str) -> tuple[str, str]:
    found = re.match(r"([a-z -]+?)(?: \(([^)]*)\))?\s*$", text.strip())
    return (found[1], found[2] or "") if found else ("", "")


def _job(text: str) -> str:
    found = re.search(r"^Job type:\s+(\S+)", text, re.MULTILINE)
    return "" if found is None or found[1] == "None" else found[1]


def _size(element: ET.Element | None, attribute: str = "") -> int | None:
    """Return a size in bytes, in libvirt's units; KiB where none is said."""
    if element is None:
        return None
    number = (element.get(attribute, "") if attribute else element.text or "").strip()
    unit = _UNITS.get(element.get("unit", "KiB").lower())
    return int(number) * unit if unit and re.fullmatch(r"\d{1,15}", number) else None


def _huge_page(tree: ET.Element) -> int | None:
    huge = tree.find("memoryBacking/hugepages")
    if huge is None:
        return None
    return max((_size(page, "size") or 0 for page in huge.iterfind("page")), default=0)


def _host_devices(tree: ET.Element) -> tuple[str, ...]:
    devices = [
        f"{e.get('mode', '')} {e.get('type', '')}".strip() for e in tree.iterfind("devices/hostdev")
    ]
    kinds = (e.get("type") for e in tree.iterfind("devices/interface"))
    return (*devices, *(f"interface {kind}" for kind in kinds if kind in ("hostdev", "vdpa")))


def _vhost_user(tree: ET.Element) -> tuple[str, ...]:
    devices = tree.find("devices")
    found = []
    for device in devices if devices is not None else ():
        model = device.find("model")
        words = {device.get("type"), model.get("type") if model is not None else ""}
        driver = device.find("driver")
        if driver is not None and device.tag == "video":
            words.add("vhostuser" if driver.get("name") == "vhostuser" else "")
        if words & {"vhostuser", "vhost-user"}:
            found.append(device.tag)
    return tuple(found)


def _filesystems(tree: ET.Element) -> tuple[str, ...]:
    return tuple(
        f"{_attribute(share, 'driver', 'type') or '9p'}"
        f" {_attribute(share, 'target', 'dir')}".strip()
        for share in tree.iterfind("devices/filesystem")
    )


def _disks(tree: ET.Element, evidence: Evidence) -> tuple[Disk, ...]:
    found = []
    for disk in tree.iterfind("devices/disk"):
        source = disk.find("source")
        path = (source.get("file") or source.get("dev") or "") if source is not None else ""
        found.append(
            Disk(
                target=_attribute(disk, "target", "dev"),
                kind=disk.get("type", ""),
                source=path,
                cache=_attribute(disk, "driver", "cache"),
                readonly=disk.find("readonly") is not None or disk.get("device") == "cdrom",
                filesystem=evidence.ran(f"storage {path}").out.strip() if path else "",
            )
        )
    return tuple(found)


def _blocked(text: str) -> tuple[str, ...] | None:
    try:
        answer: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    returned = answer.get("return") if isinstance(answer, dict) else None
    if not isinstance(returned, dict):
        return None
    reasons = returned.get("blocked-reasons", [])
    return tuple(str(one)[:300] for one in reasons) if isinstance(reasons, list) else ()
