"""What everything of a lab is called, and its addresses.

Whatever a lab makes can be found again by name alone, without any file, so that a lab whose
controller was killed at any moment can still be taken away.

=====================  ==================================  ==========================
thing                   name                                example
=====================  ==================================  ==========================
network namespace       ``postcopy-LAB-HOST``               ``postcopy-default-alpha``
the machine's bridge    ``pcSLOTbr-DIGEST``                 ``pc0br-c21f96``
its port for a host     ``pcSLOTa-DIGEST``, ``pcSLOTb-...``  ``pc0a-c21f96``
its port, controller    ``pcSLOTc-DIGEST``                  ``pc0c-c21f96``
environment marker      ``POSTCOPY_LAB=LAB``                ``POSTCOPY_LAB=default``
=====================  ==================================  ==========================

A lab has a slot, a number from 0 to 255, and its addresses follow from that. They are in
198.18.0.0/15, which is set aside for benchmarks of devices (RFC 2544) and so used by no real
network.
"""

import hashlib
import re
from pathlib import Path

from postcopy.errors import UsageError

__all__ = [
    "ALL_HOSTS",
    "CONTROL",
    "CONTROLLER",
    "DATA",
    "DEFAULT_LAB",
    "HOSTS",
    "MARKER",
    "NAMESPACES",
    "PREFIX_LENGTH",
    "SLOTS",
    "bridge",
    "command",
    "control_address",
    "data_address",
    "is_lab",
    "labs_with_namespaces",
    "machine_address",
    "namespace",
    "namespaces",
    "owned_link",
    "port",
    "slot_of_link",
    "validate_lab",
]

HOSTS = ("alpha", "beta")
"""Those that run guests; every lab has them."""

CONTROLLER = "controller"
"""Runs the services of a cloud, in a lab that has one. No guests, so it has no data link."""

ALL_HOSTS = (*HOSTS, CONTROLLER)
DEFAULT_LAB = "default"
DATA = "data"
CONTROL = "control"
SLOTS = 256
PREFIX_LENGTH = 24

MARKER = "POSTCOPY_LAB"
"""Set to the lab's name in the environment of every process that belongs to a lab."""

NAMESPACES = Path("/run/netns")
"""Where ip-netns(8) keeps named network namespaces, so that it lists these too."""

_LAB = re.compile(r"[a-z][a-z0-9-]{0,30}")
_NAMESPACE = re.compile(rf"postcopy-({_LAB.pattern})-(?:{'|'.join(ALL_HOSTS)})")
_LINK = re.compile(r"pc(\d{1,3})(?:br|a|b|c)-[0-9a-f]{6}")


def labs_with_namespaces() -> set[str]:
    """Return the labs of which there is a network namespace, or the file for one."""
    try:
        entries = [entry.name for entry in NAMESPACES.iterdir()]
    except FileNotFoundError:
        return set()
    return {match[1] for match in map(_NAMESPACE.fullmatch, entries) if match}


def is_lab(name: str) -> bool:
    """Return whether a lab may have that name."""
    return _LAB.fullmatch(name) is not None


def validate_lab(name: str) -> str:
    """Return the name of a lab if it may be one.

    :raises UsageError: otherwise.
    """
    if not is_lab(name):
        raise UsageError(
            f"{name!r} is not a name for a lab",
            hint="up to 31 small letters, digits and hyphens, a letter first: default, my-lab-2",
        )
    return name


def command(lab: str, verb: str) -> str:
    """Return the command line that does something with a lab, for hints."""
    return f"postcopy lab {verb}" + ("" if lab == DEFAULT_LAB else f" --lab {lab}")


def namespace(lab: str, host: str) -> str:
    """Return the name of a host's network namespace."""
    return f"postcopy-{lab}-{host}"


def namespaces(lab: str) -> dict[str, Path]:
    """Return the file of each host's network namespace, there or not."""
    return {host: NAMESPACES / namespace(lab, host) for host in ALL_HOSTS}


def bridge(lab: str, slot: int) -> str:
    """Return the name of the machine's bridge for the control links of a lab."""
    return f"pc{slot}br-{_digest(lab)}"


def port(lab: str, slot: int, host: str) -> str:
    """Return the name of the machine's end of a host's control link."""
    return f"pc{slot}{host[0]}-{_digest(lab)}"


def owned_link(name: str, lab: str) -> bool:
    """Return whether a link of the machine belongs to a lab, whatever slot it was made for."""
    return bool(_LINK.fullmatch(name)) and name.endswith(f"-{_digest(lab)}")


def slot_of_link(name: str) -> int | None:
    """Return the slot that a link of the machine takes up, None if it is not a lab's."""
    match = _LINK.fullmatch(name)
    return int(match[1]) if match else None


def data_address(slot: int, host: str) -> str:
    """Return a host's IPv4 address on the data link; nothing for one that has no such link."""
    if host not in HOSTS:
        return ""
    return f"198.18.{slot}.{HOSTS.index(host) + 1}"


def control_address(slot: int, host: str) -> str:
    """Return a host's IPv4 address on the control link."""
    return f"198.19.{slot}.{ALL_HOSTS.index(host) + 1}"


def machine_address(slot: int) -> str:
    """Return the machine's own IPv4 address on a lab's control link."""
    return f"198.19.{slot}.254"


def _digest(lab: str) -> str:
    # An interface name has 15 bytes (IFNAMSIZ), a lab's name may be longer than all of them.
    return hashlib.sha256(lab.encode()).hexdigest()[:6]
