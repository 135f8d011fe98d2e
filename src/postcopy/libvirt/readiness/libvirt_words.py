"""What libvirt on a host says of itself and its guests: pure, tolerant parsers of its answers."""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from postcopy.libvirt.readiness import markup
from postcopy.libvirt.readiness.conf import Conf
from postcopy.libvirt.readiness.host_words import number
from postcopy.readiness import Evidence

__all__ = [
    "Account",
    "Capabilities",
    "Machine",
    "RunningGuest",
    "Version",
    "account",
    "child",
    "domains",
    "host_model",
    "running",
    "units",
    "version",
]

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Account:
    """A user and its group, as numbers where the host knows them."""

    user: str
    group: str
    uid: int | None
    gid: int | None


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine type that QEMU has there.

    :param canonical: what it stands for, if it is another name.
    """

    name: str
    canonical: str = ""


@dataclass(frozen=True, slots=True)
class RunningGuest:
    """A guest that runs, and the most memory that it may have."""

    name: str
    memory_bytes: int


class Capabilities:
    """What ``virsh capabilities`` says."""

    def __init__(self, evidence: Evidence) -> None:
        tree = markup.parse(evidence.ran("capabilities").out)
        host = tree.find("host") if tree is not None else None
        cpu = host.find("cpu") if host is not None else None
        self.uuid = child(host, "uuid").lower()
        self.cpu = _cpu_text(cpu) if cpu is not None else ""
        found: dict[str, Machine] = {}
        for machine in tree.iter("machine") if tree is not None else ():
            name = (machine.text or "").strip()
            found.setdefault(name, Machine(name, machine.get("canonical", "")))
        self.machines = tuple(found.values())


def _cpu_text(cpu: ET.Element) -> str:
    """Return what matters of a host's CPU, the same text for the same CPU."""
    features = sorted(str(feature.get("name")) for feature in cpu.iter("feature"))
    words = [cpu.findtext("arch", ""), cpu.findtext("vendor", ""), cpu.findtext("model", "")]
    signature = cpu.find("signature")
    if signature is not None:
        words += [f"{key}={value}" for key, value in sorted(signature.attrib.items())]
    return " ".join([*words, *features])


def child(tree: ET.Element | None, tag: str) -> str:
    """Return the text of an element of that tag; empty where there is none."""
    return (tree.findtext(tag) or "").strip() if tree is not None else ""


def host_model(domcapabilities: ET.Element | None) -> str:
    """Return the CPU that ``host-model`` stands for, as XML; empty where none is told."""
    if domcapabilities is None:
        return ""
    for mode in domcapabilities.iterfind("cpu/mode[@name='host-model']"):
        if mode.get("supported") == "yes":
            cpu = ET.Element("cpu")
            cpu.extend(mode)
            return ET.tostring(cpu, encoding="unicode")
    return ""


def units(evidence: Evidence) -> list[str]:
    """Return the states of libvirtd.service, virtqemud.socket and more; none without systemd."""
    ran = evidence.ran("units")
    return [] if ran.error or "not been booted" in ran.err else ran.out.split()


def version(pattern: str, text: str) -> Version | None:
    """Return the version that a pattern finds, filled up with zeros; None where it finds none."""
    found = re.search(pattern, text)
    parts = [int(part[:6]) for part in found[1].split(".") if part] if found else []
    if not parts:
        return None
    major, minor, micro = (*parts, 0, 0)[:3]
    return major, minor, micro


def domains(text: str) -> dict[str, str]:
    """Return names of all guests by UUID, from ``virsh list --all --uuid --name``."""
    # libvirt 10.7.0 alone prints a table with a head.
    found = re.findall(r"^\s*([0-9a-fA-F-]{36})\s+(\S.*?)\s*$", text, re.MULTILINE)
    return {uuid.lower(): name for uuid, name in found}


def running(text: str) -> tuple[RunningGuest, ...]:
    """Return the guests of ``virsh domstats``, each with the most memory that it may have."""
    found = []
    for block in text.split("Domain: ")[1:]:
        name, most = (
            block.split("\n", 1)[0].strip().strip("'"),
            re.search(r"balloon\.maximum=(\d{1,15})", block),
        )
        found.append(RunningGuest(name, int(most[1]) << 10 if most else 0))
    return tuple(found)


def account(evidence: Evidence, qemu: Conf) -> Account:
    """Return whom QEMU runs as: what the file says, or what this libvirt was built with.

    Distributions write what they built it with into the comments of the file.
    """
    likely = ("libvirt-qemu", "qemu")
    users = [qemu.text("user"), qemu.suggested.get("user", ""), *likely]
    known = {name: _entry(evidence, "user", name) for name in (*users, "root")}
    user = users[0] or next((name for name in users if name and known[name]), "root")
    group = qemu.text("group") or qemu.suggested.get("group", "") or user
    uid, gid = known[user], _entry(evidence, "group", group)
    return Account(user, group, uid, gid)


def _entry(evidence: Evidence, database: str, name: str) -> int | None:
    if re.fullmatch(r"\+?\d{1,10}", name):
        return int(name)
    words = evidence.ran(f"{database} {name}").out.strip().split(":")
    return number(words[2]) if len(words) > 2 else None
