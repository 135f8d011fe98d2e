"""What the way between two hosts carries, found out by sending over it for half a second.

The destination listens at free ports of its migration range and knows a token; the source connects
to those only, sends, and is told how much arrived. It is the way that a guest would take, and the
sender is a host's own process, so that nothing of what this machine is like gets into the figure.
"""

import math
import secrets
from dataclasses import dataclass
from typing import Any

from postcopy.errors import UnavailableError
from postcopy.hosts.access import HostAccess
from postcopy.hosts.program import probe
from postcopy.libvirt.readiness.path import PathFacts
from postcopy.readiness import Evidence

__all__ = ["PORTS", "WayFound", "measure_way"]

PORTS = (49152, 49215)
"""libvirt's default range for migrations; firewalls are opened for these."""

_SEND_SECONDS, _LISTEN_SECONDS, _ANSWER_SECONDS = 0.5, 10.0, 6.0


@dataclass(frozen=True, slots=True)
class WayFound:
    """A way between two hosts.

    :param bandwidth: bytes a second that came through, headers taken off.
    :param round_trip: in seconds.
    """

    bandwidth: float
    round_trip: float


async def measure_way(
    source: HostAccess,
    destination: HostAccess,
    address: str,
    ports: tuple[int, int] = PORTS,
) -> WayFound:
    """Send over the way from a source to a destination for half a second.

    :param address: where the destination would receive a guest.
    :raises UnavailableError: when a host does not answer, or nothing comes through.
    """
    token = secrets.token_hex(16)
    listened = await _ask(
        destination, "libvirt-listen", low=ports[0], high=ports[1], address=address,
        seconds=_LISTEN_SECONDS, token=token,
    )  # fmt: skip
    told = (listened.proof("listening") or {}).get("ports")
    open_ports = told if isinstance(told, list) else []
    ended = False
    try:
        dialled = await _ask(
            source, "libvirt-dial", host=address, names=[], ports=open_ports[:1], token=token,
            daemon={}, seconds=_SEND_SECONDS,
        )  # fmt: skip
        ended = bool((dialled.proof("dialled") or {}).get("ended"))
    finally:
        if open_ports and not ended:
            # The source could not: until it ends by itself, it keeps ports from guests.
            await _ask(
                destination, "libvirt-listen", end=open_ports[0], address=address, token=token
            )
    facts = PathFacts.of(address, listened, dialled)
    if not facts.bytes_per_second or not math.isfinite(facts.bytes_per_second):
        raise UnavailableError(
            f"nothing came through from {source.name} to {destination.name} ({address})",
            hint=f"postcopy check {source.name} {destination.name}; or say what the link carries:"
            " --bandwidth",
        )
    return WayFound(facts.bytes_per_second, facts.round_trip_seconds or 0.0)


async def _ask(access: HostAccess, section: str, **request: Any) -> Evidence:
    answer = await probe(access, {"seconds": _ANSWER_SECONDS, section: request})
    return Evidence(answer["sections"].get(section))
