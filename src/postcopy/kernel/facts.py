"""What is so in a host's kernel."""

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from postcopy.readiness import Evidence, File

__all__ = ["Account", "KernelFacts", "Link", "Qemu", "UserfaultfdProof"]

_KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class UserfaultfdProof:
    """What came of trying userfaultfd as one user.

    :ivar error: why it could not be tried; empty where it could.
    :ivar device: the error number's name of having one from ``/dev/userfaultfd``; empty: it works.
    :ivar syscall: the same of userfaultfd(2), for all faults.
    :ivar user_mode_only: the same of userfaultfd(2), for faults of user space alone.
    :ivar features: ``UFFD_FEATURE_`` bits of the kernel.
    :ivar modes: what went wrong with each mode; empty where a fault was resolved.
    :ivar p50_seconds: how long half of the faults took at most; None where none was taken.
    :ivar p99_seconds: how long 99 of 100 took at most.
    """

    error: str = ""
    device: str = "not tried"
    syscall: str = "not tried"
    user_mode_only: str = "not tried"
    features: int = 0
    modes: Mapping[str, str] = field(default_factory=dict)
    p50_seconds: float | None = None
    p99_seconds: float | None = None

    @property
    def permitted(self) -> bool:
        """Whether faults that the kernel takes can be had too, by one of the two ways."""
        return not self.error and "" in (self.device, self.syscall)

    @classmethod
    def of(cls, raw: Mapping[str, Any] | None) -> "UserfaultfdProof | None":
        """Read what the probe's proof told; None where it was not tried."""
        if raw is None:
            return None
        latency, modes = _mapping(raw.get("latency")), _mapping(raw.get("modes"))
        return cls(
            error=_text(raw.get("error")),
            device=_text(raw.get("device"), "not tried"),
            syscall=_text(raw.get("syscall"), "not tried"),
            user_mode_only=_text(raw.get("user-mode-only"), "not tried"),
            features=_int(raw.get("features")) or 0,
            modes={str(name): _text(error, "not tried") for name, error in modes.items()},
            p50_seconds=_float(latency.get("p50")),
            p99_seconds=_float(latency.get("p99")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom QEMU runs as.

    :ivar source: why it is this user: a file, or words.
    """

    name: str
    uid: int
    source: str

    def __str__(self) -> str:
        return f"{self.name} ({self.uid})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A network link that is up.

    :ivar bits_per_second: None where the link does not say.
    :ivar networks: those that it has an address in.
    """

    name: str
    mtu: int | None
    bits_per_second: int | None
    networks: frozenset[ipaddress.IPv4Network | ipaddress.IPv6Network]


@dataclass(frozen=True, slots=True, kw_only=True)
class Qemu:
    """A QEMU that runs.

    :ivar sys_ptrace: whether it has the capability that userfaultfd(2) wants; None if unknown.
    """

    uid: int | None
    resident_bytes: int
    locked_bytes: int
    sys_ptrace: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFacts:
    """What the kernel floor knows of a host; what could not be found out is None or empty.

    :ivar distribution: in words, as ``Debian GNU/Linux 13 (trixie)``.
    :ivar config: settings of the kernel's build that matter, without ``CONFIG_``: y, m, n.
    :ivar unprivileged: ``vm.unprivileged_userfaultfd``; None before Linux 5.2.
    :ivar sysctl_lines: every line that sets it at boot, by file.
    :ivar udev_lines: every line of a udev rule about the device, by file.
    :ivar retries_lines: every line that sets ``net.ipv4.tcp_retries2`` at boot, by file.
    :ivar device: ``/dev/userfaultfd``.
    :ivar proof: what came of trying userfaultfd as the user of the probe.
    :ivar proof_as_qemu: the same as the user that QEMU runs as.
    :ivar memory: ``/proc/meminfo``, in bytes where it counts kB.
    :ivar hugepages: (reserved, free) by size in bytes.
    :ivar tcp_buffer_bytes: the most that a connection may have on its way.
    :ivar memory_pressure_percent: of the last minute, while something waited for memory.
    """

    distribution: str
    release: str
    machine: str
    page_bytes: int | None
    config: Mapping[str, str]
    account: Account | None
    unprivileged: int | None
    sysctl_lines: Mapping[str, tuple[str, ...]]
    udev_lines: Mapping[str, tuple[str, ...]]
    retries_lines: Mapping[str, tuple[str, ...]]
    device: File
    kvm: File
    proof: UserfaultfdProof | None
    proof_as_qemu: UserfaultfdProof | None
    memory: Mapping[str, int]
    hugepages: Mapping[int, tuple[int, int]]
    transparent: str
    nodes: int
    overcommit: int | None
    tcp_retries2: int | None
    tcp_buffer_bytes: int | None
    cpu_vendor: str
    cpu_model: str
    cpu_flags: frozenset[str]
    links: tuple[Link, ...]
    qemus: tuple[Qemu, ...]
    memory_pressure_percent: float | None

    @property
    def fastest_link(self) -> Link | None:
        """The link that says to be the fastest."""
        known = [link for link in self.links if link.bits_per_second]
        return max(known, key=lambda link: link.bits_per_second or 0, default=None)

    @classmethod
    def of(cls, evidence: Evidence) -> "KernelFacts":
        """Read what the probe brought back."""
        value = evidence.value
        cpu = _mapping(value("cpu"))
        flags = _text(cpu.get("flags")) or _text(cpu.get("Features"))
        buffers = [
            words[2]
            for name in ("tcp_rmem", "tcp_wmem")
            if len(words := _numbers(evidence.text(f"/proc/sys/net/ipv4/{name}"))) == 3
        ]
        return cls(
            distribution=_os_name(evidence.text("/etc/os-release")),
            release=evidence.text("/proc/sys/kernel/osrelease"),
            machine=_text(value("machine")),
            page_bytes=_int(value("page_bytes")),
            config={str(k): _text(v) for k, v in _mapping(value("config")).items()},
            account=_account(value("account")),
            unprivileged=_number(evidence.text("/proc/sys/vm/unprivileged_userfaultfd")),
            sysctl_lines=_lines(evidence, "sysctl", "unprivileged_userfaultfd"),
            udev_lines=_lines(evidence, "udev", "userfaultfd"),
            retries_lines=_lines(evidence, "sysctl", "tcp_retries2"),
            device=evidence.file("/dev/userfaultfd"),
            kvm=evidence.file("/dev/kvm"),
            proof=UserfaultfdProof.of(evidence.proof("userfaultfd")),
            proof_as_qemu=UserfaultfdProof.of(evidence.proof("userfaultfd-as-qemu")),
            memory=_meminfo(evidence.text("/proc/meminfo")),
            hugepages=_hugepages(evidence),
            transparent=_chosen(evidence.text("/sys/kernel/mm/transparent_hugepage/enabled")),
            nodes=max(1, sum(1 for _ in evidence.files("/sys/devices/system/node/node"))),
            overcommit=_number(evidence.text("/proc/sys/vm/overcommit_memory")),
            tcp_retries2=_number(evidence.text("/proc/sys/net/ipv4/tcp_retries2")),
            tcp_buffer_bytes=min(buffers, default=None),
            cpu_vendor=_text(cpu.get("vendor_id")),
            cpu_model=_text(cpu.get("model name")),
            cpu_flags=frozenset(flags.split()),
            links=tuple(_links(value("links"), evidence.ran("addresses").out)),
            qemus=tuple(_qemus(value("qemus"))),
            memory_pressure_percent=_pressure(evidence.text("/proc/pressure/memory")),
        )


def _mapping(raw: object) -> Mapping[str, Any]:
    return raw if isinstance(raw, Mapping) else {}


def _text(raw: object, otherwise: str = "") -> str:
    return raw if isinstance(raw, str) else otherwise


def _int(raw: object) -> int | None:
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else None


def _float(raw: object) -> float | None:
    return float(raw) if isinstance(raw, int | float) and 0 <= raw < 1e9 else None


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else None


def _numbers(text: str) -> list[int]:
    return [number for word in text.split() if (number := _number(word)) is not None]


def _os_name(text: str) -> str:
    match = re.search(r'^PRETTY_NAME="?([^"\n]{1,100})', text, re.MULTILINE)
    return match[1] if match else ""


def _account(raw: object) -> Account | None:
    about = _mapping(raw)
    uid = _int(about.get("uid"))
    if uid is None:
        return None
    return Account(name=_text(about.get("name")), uid=uid, source=_text(about.get("source")))


def _lines(evidence: Evidence, place: str, word: str) -> dict[str, tuple[str, ...]]:
    """Return the lines with a word, without comments, of files whose path names their place."""
    found = {}
    for file in evidence.files("/"):
        if place not in file.path:
            continue
        kept = tuple(
            line.strip()
            for line in (file.text or "").splitlines()
            if word in line and not line.lstrip().startswith(("#", ";"))
        )
        if kept:
            found[file.path] = kept
    return found


def _meminfo(text: str) -> dict[str, int]:
    found = re.findall(r"^(\S+):\s+(\d{1,15})( kB)?$", text, re.MULTILINE | re.ASCII)
    return {name: int(count) * (_KIB if unit else 1) for name, count, unit in found}


def _hugepages(evidence: Evidence) -> dict[int, tuple[int, int]]:
    found = {}
    root = "/sys/kernel/mm/hugepages/hugepages-"
    for file in evidence.files(root):
        match = re.fullmatch(r"(\d{1,9})kB/nr_hugepages", file.path.removeprefix(root), re.ASCII)
        if match:
            free = _number(evidence.text(f"{root}{match[1]}kB/free_hugepages")) or 0
            found[int(match[1]) * _KIB] = (_number((file.text or "").strip()) or 0, free)
    return found


def _chosen(text: str) -> str:
    match = re.search(r"\[(\w+)\]", text)
    return match[1] if match else ""


def _links(raw: object, addresses: str) -> Iterator[Link]:
    networks = dict(_networks(addresses))
    for name, about in _mapping(raw).items():
        said = _mapping(about)
        # A tunnel or a veth does not know whether it is up, and says so.
        if name == "lo" or _text(said.get("operstate")) not in ("up", "unknown"):
            continue
        speed = _number(_text(said.get("speed")))
        yield Link(
            name=str(name),
            mtu=_number(_text(said.get("mtu"))),
            bits_per_second=speed * 10**6 if speed and 0 < speed < 10**8 else None,
            networks=frozenset(networks.get(str(name), ())),
        )


def _networks(
    text: str,
) -> Iterator[tuple[str, list[ipaddress.IPv4Network | ipaddress.IPv6Network]]]:
    """Read ``ip -json address``; link-local networks are every link's and name none."""
    try:
        links = json.loads(text) if text else []
    except (ValueError, RecursionError):
        return
    for link in links if isinstance(links, list) else []:
        about = _mapping(link)
        found = []
        entries = about.get("addr_info")
        for entry in entries if isinstance(entries, list) else []:
            said = _mapping(entry)
            try:
                network = ipaddress.ip_network(f"{said['local']}/{said['prefixlen']}", strict=False)
            except (KeyError, ValueError):
                continue
            if not (network.is_link_local or network.is_loopback):
                found.append(network)
        yield _text(about.get("ifname")), found


def _qemus(raw: object) -> Iterator[Qemu]:
    for entry in raw if isinstance(raw, list) else []:
        about = _mapping(entry)
        uids = _numbers(_text(about.get("Uid")))
        resident = _numbers(_text(about.get("VmRSS")))
        locked = _numbers(_text(about.get("VmLck")))
        mask = _text(about.get("CapEff"))
        known = re.fullmatch(r"[0-9a-f]{1,16}", mask, re.ASCII)
        yield Qemu(
            uid=uids[1] if len(uids) > 1 else None,
            resident_bytes=resident[0] * _KIB if resident else 0,
            locked_bytes=locked[0] * _KIB if locked else 0,
            # include/uapi/linux/capability.h: CAP_SYS_PTRACE is 19
            sys_ptrace=bool(int(mask, 16) >> 19 & 1) if known else None,
        )


def _pressure(text: str) -> float | None:
    match = re.search(r"^some .*avg60=(\d{1,3}\.\d{1,4})", text, re.MULTILINE | re.ASCII)
    return float(match[1]) if match else None
