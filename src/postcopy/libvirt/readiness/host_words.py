"""What a host's kernel says of its memory and its network: pure, tolerant parsers."""

import ipaddress
import re
from collections.abc import Iterable

from postcopy.libvirt.readiness.firewall import Firewall
from postcopy.readiness import Evidence

__all__ = [
    "firewalls",
    "huge_pages",
    "is_loopback",
    "listening",
    "meminfo",
    "number",
    "own_addresses",
    "resolved",
]


def number(text: str) -> int | None:
    """Return a number that is written with digits alone, or None."""
    return int(text) if re.fullmatch(r"\d{1,18}", text) else None


def listening(raw: object) -> tuple[tuple[str, int], ...]:
    """Return addresses and ports from the kernel's table of listening sockets."""
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


def resolved(text: str) -> tuple[str, ...]:
    """Return the addresses that ``getent ahosts`` names, each once, in its order."""
    return tuple(dict.fromkeys(line.split()[0] for line in text.splitlines() if line.split()))


def own_addresses(text: str) -> tuple[str, ...]:
    """Return the host's addresses from ``ip addr``, without loopback."""
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


def meminfo(evidence: Evidence, key: str) -> int | None:
    """Return a value of ``/proc/meminfo`` in bytes; None where it is not there."""
    found = re.search(rf"^{key}:\s+(\d{{1,15}}) kB", evidence.text("/proc/meminfo"), re.MULTILINE)
    return int(found[1]) << 10 if found else None


def huge_pages(evidence: Evidence) -> dict[int, int]:
    """Return how many huge pages are free, by their size in bytes."""
    found = {}
    for file in evidence.files("/sys/kernel/mm/hugepages/"):
        size = re.search(r"hugepages-(\d{1,12})kB/free_hugepages$", file.path)
        free = number((file.text or "").strip())
        if size and free is not None:
            found[int(size[1]) << 10] = free
    return found


def firewalls(evidence: Evidence) -> tuple[Firewall, ...]:
    """Return the packet filters that are there and can be read."""
    nft, iptables = evidence.ran("nft"), evidence.ran("iptables")
    found: Iterable[Firewall | None] = (
        Firewall.of_nft(nft.out) if nft.ok else None,
        Firewall.of_iptables(iptables.out) if iptables.ok else None,
    )
    return tuple(one for one in found if one is not None)
