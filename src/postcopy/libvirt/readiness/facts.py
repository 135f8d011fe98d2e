"""What is so of libvirt on one host."""

import ipaddress
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass

from postcopy.libvirt.readiness import certificates, markup
from postcopy.libvirt.readiness.certificates import TlsSet
from postcopy.libvirt.readiness.conf import Conf
from postcopy.libvirt.readiness.firewall import Firewall
from postcopy.readiness import Evidence

__all__ = ["LibvirtFacts", "Account", "Machine", "RunningGuest", "Version", "USERFAULTFD"]

Version = tuple[int, int, int]

USERFAULTFD = "/dev/userfaultfd"
_GRANTS_USERFAULTFD: Version = (10, 1, 0)
"""Since then libvirt opens `/dev/userfaultfd` to each QEMU, in that QEMU's own ``/dev``."""

_ETC = "/etc/libvirt"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LibvirtFacts:
    """What is so of libvirt on one host.

    :ivar installed: whether there is a ``virsh``, or a configuration.
    :ivar version: of the library that answered; None where none did.
    :ivar qemu_version: of the QEMU that it uses.
    :ivar error: why the daemon did not answer; empty where it did.
    :ivar hostname: what the host calls itself.
    :ivar now: the host's own clock, in Unix time.
    :ivar uuid: what libvirt tells hosts apart by; empty where it did not say.
    :ivar cpu: the host's own CPU, as ``virsh capabilities`` has it.
    :ivar host_model: the CPU that ``host-model`` stands for there, as XML; empty if unknown.
    :ivar virttype: ``kvm`` or ``qemu``.
    :ivar machines: machine types that QEMU has.
    :ivar domains: names of all guests, running or not, by UUID.
    :ivar running: those that run.
    :ivar daemon: ``libvirtd.conf``, or those of the modular daemons together.
    :ivar qemu: ``qemu.conf``.
    :ivar broken_files: configuration files with lines that make no sense, each with their numbers.
    :ivar account: whom QEMU runs as.
    :ivar device_acl: devices that a QEMU may open; None for libvirt's own list.
    :ivar device_mode: permissions of ``/dev/userfaultfd``; None where it is not there.
    :ivar unprivileged_userfaultfd: the sysctl; None where the kernel has none.
    :ivar listening: addresses and ports that something listens at.
    :ivar resolved: what the host's own name resolves to there.
    :ivar addresses: those of the host, without loopback.
    :ivar memory_available_bytes: None where it is not known.
    :ivar huge_pages_free: how many, by their size in bytes.
    :ivar huge_page_bytes: the default size.
    :ivar sockets: which of libvirt's helpers there is a socket of.
    :ivar systemd: whether services are systemd's there.
    :ivar modular: whether a daemon of its own runs QEMU, virtqemud, and not libvirtd.
    """

    installed: bool
    version: Version | None
    qemu_version: Version | None
    error: str
    hostname: str
    now: float
    uuid: str
    cpu: str
    host_model: str
    virttype: str
    machines: tuple[Machine, ...]
    domains: dict[str, str]
    running: tuple[RunningGuest, ...]
    daemon: Conf
    qemu: Conf
    broken_files: tuple[tuple[str, tuple[int, ...]], ...]
    account: Account
    device_mode: int | None
    unprivileged_userfaultfd: int | None
    listening: tuple[tuple[str, int], ...]
    resolved: tuple[str, ...]
    addresses: tuple[str, ...]
    memory_available_bytes: int | None
    huge_pages_free: dict[int, int]
    huge_page_bytes: int
    sockets: frozenset[str]
    tls: TlsSet
    migration_tls: TlsSet
    firewalls: tuple[Firewall, ...]
    systemd: bool
    modular: bool

    @classmethod
    def of(cls, evidence: Evidence) -> "LibvirtFacts":
        """Read what the probe brought back; never raises."""
        files = {
            name: evidence.file(f"{_ETC}/{name}.conf")
            for name in ("libvirtd", "virtqemud", "virtproxyd", "qemu")
        }
        confs = {name: Conf.parse(file.text or "") for name, file in files.items()}
        daemon = Conf(
            {k: v for name in ("libvirtd", "virtqemud", "virtproxyd")
             for k, v in confs[name].values.items()}
        )  # fmt: skip
        version, capabilities = evidence.ran("version"), _Capabilities(evidence)
        said = (version.err.strip() or version.error).splitlines()
        domcapabilities = markup.parse(evidence.ran("domcapabilities").out)
        hostname = evidence.value("hostname")
        now = evidence.value("now")
        return cls(
            installed=version.error != "not installed" or any(f.exists for f in files.values()),
            version=_version(r"Using library: libvirt ([0-9.]+)", version.out),
            qemu_version=_version(r"Running hypervisor: QEMU ([0-9.]+)", version.out),
            error="" if version.ok else (said[-1][:200] if said else "it said nothing"),
            hostname=hostname[:253] if isinstance(hostname, str) else "",
            now=float(now) if isinstance(now, int | float) else 0.0,
            uuid=capabilities.uuid,
            cpu=capabilities.cpu,
            host_model=_host_model(domcapabilities),
            virttype=_child(domcapabilities, "domain"),
            machines=capabilities.machines,
            domains=_domains(evidence.ran("domains").out),
            running=_running(evidence.ran("running").out),
            daemon=daemon,
            qemu=confs["qemu"],
            broken_files=tuple(
                (files[name].path, conf.bad_lines) for name, conf in confs.items() if conf.bad_lines
            ),
            account=_account(evidence, confs["qemu"]),
            device_mode=evidence.file(USERFAULTFD).mode,
            unprivileged_userfaultfd=_number(
                evidence.text("/proc/sys/vm/unprivileged_userfaultfd")
            ),
            listening=_listening(evidence.value("listening")),
            resolved=_resolved(evidence.ran("resolved").out),
            addresses=_own_addresses(evidence.ran("addresses").out),
            memory_available_bytes=_meminfo(evidence, "MemAvailable"),
            huge_pages_free=_huge_pages(evidence),
            huge_page_bytes=_meminfo(evidence, "Hugepagesize") or 2 << 20,
            sockets=frozenset(
                name
                for name in ("virtlogd", "virtlockd")
                if evidence.file(f"/run/libvirt/{name}-sock").exists
            ),
            tls=certificates.of_daemon(evidence, daemon),
            migration_tls=certificates.of_migrations(evidence, confs["qemu"]),
            firewalls=_firewalls(evidence),
            systemd=bool(units := _units(evidence)),
            modular=units[:2] == ["inactive", "active"],
        )

    @property
    def mount_namespace(self) -> bool:
        """Whether each QEMU has a ``/dev`` of its own, with what its device list names."""
        wanted = self.qemu.words("namespaces")
        return "mount" in wanted if wanted is not None else True

    @property
    def confined(self) -> bool:
        """Whether a QEMU can open only the devices that are listed."""
        controllers = self.qemu.words("cgroup_controllers")
        return self.mount_namespace or controllers is None or "devices" in controllers

    @property
    def device_listed(self) -> bool:
        """Whether the list of devices that a QEMU may open has ``/dev/userfaultfd``."""
        listed = self.qemu.words("cgroup_device_acl")
        if listed is not None:
            return USERFAULTFD in listed
        return self.version is not None and self.version >= _GRANTS_USERFAULTFD

    @property
    def device_open(self) -> bool:
        """Whether QEMU's user may open ``/dev/userfaultfd`` where it sees it."""
        return bool((self.device_mode or 0) & 0o066)

    @property
    def could_grant_userfaultfd(self) -> bool:
        """Whether this libvirt opens ``/dev/userfaultfd`` to its QEMUs, if that is on its list."""
        new = self.version is not None and self.version >= _GRANTS_USERFAULTFD
        return new and self.device_mode is not None and self.mount_namespace

    @property
    def grants_userfaultfd(self) -> bool:
        """Whether libvirt itself opens ``/dev/userfaultfd`` to the QEMUs that it starts.

        What the kernel permits to QEMU's user elsewhere does not matter then.
        """
        return self.could_grant_userfaultfd and self.device_listed

    @property
    def refused(self) -> bool:
        """Whether the daemon runs and does not let the probe's user ask."""
        return bool(re.search("authenticat|polkit|ermission denied|ccess denied", self.error))

    @property
    def migration_ports(self) -> tuple[int, int]:
        """The first and the last port that incoming migrations use."""
        return (
            self.qemu.number("migration_port_min", 49152),
            self.qemu.number("migration_port_max", 49215),
        )

    @property
    def migration_name(self) -> str:
        """What a source is told to connect to."""
        return self.qemu.text("migration_host") or self.hostname

    @property
    def daemon_ports(self) -> dict[str, int]:
        """The ports that the daemon takes connections from other hosts at, by transport."""
        wanted = {
            "tcp": _number(self.daemon.text("tcp_port", "16509")) or 16509,
            "tls": _number(self.daemon.text("tls_port", "16514")) or 16514,
        }
        return {name: port for name, port in wanted.items() if self.listens(port)}

    def listens(self, port: int) -> bool:
        """Return whether something takes connections from other hosts at a port."""
        return any(own == port and not is_loopback(address) for address, own in self.listening)


class _Capabilities:
    """What ``virsh capabilities`` says."""

    def __init__(self, evidence: Evidence) -> None:
        tree = markup.parse(evidence.ran("capabilities").out)
        host = tree.find("host") if tree is not None else None
        cpu = host.find("cpu") if host is not None else None
        self.uuid = _child(host, "uuid").lower()
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


def _child(tree: ET.Element | None, tag: str) -> str:
    return (tree.findtext(tag) or "").strip() if tree is not None else ""


def _host_model(domcapabilities: ET.Element | None) -> str:
    if domcapabilities is None:
        return ""
    for mode in domcapabilities.iterfind("cpu/mode[@name='host-model']"):
        if mode.get("supported") == "yes":
            cpu = ET.Element("cpu")
            cpu.extend(mode)
            return ET.tostring(cpu, encoding="unicode")
    return ""


def _units(evidence: Evidence) -> list[str]:
    """Return the states of libvirtd.service, virtqemud.socket and more; none without systemd."""
    ran = evidence.ran("units")
    return [] if ran.error or "not been booted" in ran.err else ran.out.split()


def _version(pattern: str, text: str) -> Version | None:
    found = re.search(pattern, text)
    parts = [int(part[:6]) for part in found[1].split(".") if part] if found else []
    if not parts:
        return None
    major, minor, micro = (*parts, 0, 0)[:3]
    return major, minor, micro


def _domains(text: str) -> dict[str, str]:
    # libvirt 10.7.0 alone prints a table with a head.
    found = re.findall(r"^\s*([0-9a-fA-F-]{36})\s+(\S.*?)\s*$", text, re.MULTILINE)
    return {uuid.lower(): name for uuid, name in found}


def _running(text: str) -> tuple[RunningGuest, ...]:
    found = []
    for block in text.split("Domain: ")[1:]:
        name, most = (
            block.split("\n", 1)[0].strip().strip("'"),
            re.search(r"balloon\.maximum=(\d{1,15})", block),
        )
        found.append(RunningGuest(name, int(most[1]) << 10 if most else 0))
    return tuple(found)


def _account(evidence: Evidence, qemu: Conf) -> Account:
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
    return _number(words[2]) if len(words) > 2 else None


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,18}", text) else None


def _listening(raw: object) -> tuple[tuple[str, int], ...]:
    found = []
    for entry in raw if isinstance(raw, list) else ():
        if isinstance(entry, list) and len(entry) == 2:
            digits, port = entry
            address = _address(digits)
            if address and isinstance(port, int):
                found.append((address, port))
    return tuple(found)


def _address(digits: object) -> str:
    """Return an address that the kernel prints as words of 32 bits, each in this order of bytes."""
    if not isinstance(digits, str) or not re.fullmatch(r"[0-9A-Fa-f]{8}|[0-9A-Fa-f]{32}", digits):
        return ""
    words = [bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def _resolved(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.split()[0] for line in text.splitlines() if line.split()))


def _own_addresses(text: str) -> tuple[str, ...]:
    found = re.findall(r"\sinet6?\s+([0-9a-fA-F.:]+)/", text)
    return tuple(address for address in found if not is_loopback(address))


def is_loopback(address: str) -> bool:
    """Return whether an address leads nowhere but to its own host."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def _meminfo(evidence: Evidence, key: str) -> int | None:
    found = re.search(rf"^{key}:\s+(\d{{1,15}}) kB", evidence.text("/proc/meminfo"), re.MULTILINE)
    return int(found[1]) << 10 if found else None


def _huge_pages(evidence: Evidence) -> dict[int, int]:
    found = {}
    for file in evidence.files("/sys/kernel/mm/hugepages/"):
        size = re.search(r"hugepages-(\d{1,12})kB/free_hugepages$", file.path)
        free = _number((file.text or "").strip())
        if size and free is not None:
            found[int(size[1]) << 10] = free
    return found


def _firewalls(evidence: Evidence) -> tuple[Firewall, ...]:
    nft, iptables = evidence.ran("nft"), evidence.ran("iptables")
    found: Iterable[Firewall | None] = (
        Firewall.of_nft(nft.out) if nft.ok else None,
        Firewall.of_iptables(iptables.out) if iptables.ok else None,
    )
    return tuple(one for one in found if one is not None)
