"""What is so of libvirt on one host."""

import re
from dataclasses import dataclass

from postcopy.libvirt.readiness import certificates, host_words, libvirt_words, markup
from postcopy.libvirt.readiness.certificates import TlsSet
from postcopy.libvirt.readiness.conf import Conf
from postcopy.libvirt.readiness.firewall import Firewall
from postcopy.libvirt.readiness.host_words import is_loopback
from postcopy.libvirt.readiness.libvirt_words import Account, Machine, RunningGuest, Version
from postcopy.readiness import Evidence

__all__ = [
    "LibvirtFacts",
    "Account",
    "Machine",
    "RunningGuest",
    "Version",
    "USERFAULTFD",
    "is_loopback",
]

USERFAULTFD = "/dev/userfaultfd"
_GRANTS_USERFAULTFD: Version = (10, 1, 0)
"""Since then libvirt opens `/dev/userfaultfd` to each QEMU, in that QEMU's own ``/dev``."""

_ETC = "/etc/libvirt"


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
        version, capabilities = evidence.ran("version"), libvirt_words.Capabilities(evidence)
        said = (version.err.strip() or version.error).splitlines()
        domcapabilities = markup.parse(evidence.ran("domcapabilities").out)
        hostname = evidence.value("hostname")
        now = evidence.value("now")
        return cls(
            installed=version.error != "not installed" or any(f.exists for f in files.values()),
            version=libvirt_words.version(r"Using library: libvirt ([0-9.]+)", version.out),
            qemu_version=libvirt_words.version(r"Running hypervisor: QEMU ([0-9.]+)", version.out),
            error="" if version.ok else (said[-1][:200] if said else "it said nothing"),
            hostname=hostname[:253] if isinstance(hostname, str) else "",
            now=float(now) if isinstance(now, int | float) else 0.0,
            uuid=capabilities.uuid,
            cpu=capabilities.cpu,
            host_model=libvirt_words.host_model(domcapabilities),
            virttype=libvirt_words.child(domcapabilities, "domain"),
            machines=capabilities.machines,
            domains=libvirt_words.domains(evidence.ran("domains").out),
            running=libvirt_words.running(evidence.ran("running").out),
            daemon=daemon,
            qemu=confs["qemu"],
            broken_files=tuple(
                (files[name].path, conf.bad_lines) for name, conf in confs.items() if conf.bad_lines
            ),
            account=libvirt_words.account(evidence, confs["qemu"]),
            device_mode=evidence.file(USERFAULTFD).mode,
            unprivileged_userfaultfd=host_words.number(
                evidence.text("/proc/sys/vm/unprivileged_userfaultfd")
            ),
            listening=host_words.listening(evidence.value("listening")),
            resolved=host_words.resolved(evidence.ran("resolved").out),
            addresses=host_words.own_addresses(evidence.ran("addresses").out),
            memory_available_bytes=host_words.meminfo(evidence, "MemAvailable"),
            huge_pages_free=host_words.huge_pages(evidence),
            huge_page_bytes=host_words.meminfo(evidence, "Hugepagesize") or 2 << 20,
            sockets=frozenset(
                name
                for name in ("virtlogd", "virtlockd")
                if evidence.file(f"/run/libvirt/{name}-sock").exists
            ),
            tls=certificates.of_daemon(evidence, daemon),
            migration_tls=certificates.of_migrations(evidence, confs["qemu"]),
            firewalls=host_words.firewalls(evidence),
            systemd=bool(units := libvirt_words.units(evidence)),
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
            "tcp": host_words.number(self.daemon.text("tcp_port", "16509")) or 16509,
            "tls": host_words.number(self.daemon.text("tls_port", "16514")) or 16514,
        }
        return {name: port for name, port in wanted.items() if self.listens(port)}

    def listens(self, port: int) -> bool:
        """Return whether something takes connections from other hosts at a port."""
        return any(own == port and not is_loopback(address) for address, own in self.listening)
