"""What libvirt's floor finds out with two hosts at work: the way between them, and an arrival."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from postcopy.hosts import HostAccess, probe
from postcopy.libvirt.readiness import ArrivalFacts, GuestFacts, LibvirtFacts, PathFacts
from postcopy.libvirt.readiness.certificates import TlsSet
from postcopy.readiness import Evidence, GuestSubject, PairSubject

__all__ = ["measure", "measure_guest"]

_LISTENER_SECONDS = 20.0
_PROBE_SECONDS = 15.0


async def measure(
    source: HostAccess,
    destination: HostAccess,
    pair: PairSubject,
    throughput_seconds: float = 1.0,
) -> Sequence[object]:
    """Go the way from a source to a destination.

    The destination listens at free migration ports for a few seconds; the source connects to
    those, because only they are known not to be a QEMU's that waits for a guest.

    :raises UnavailableError: when one of them does not answer.
    """
    here, there = pair.source.facts.find(LibvirtFacts), pair.destination.facts.find(LibvirtFacts)
    if here is None or there is None or not there.migration_name:
        return ()
    token = secrets.token_hex(16)
    low, high = there.migration_ports
    streams = _both(there.migration_tls, here.migration_tls)
    address = there.qemu.text("migration_address")
    listened = await _ask(
        destination,
        "libvirt-listen",
        low=low,
        high=max(low, high),
        address=address,
        seconds=_LISTENER_SECONDS,
        token=token,
        tls={**streams, "verify": bool(_verifies(there))} if streams else None,
        cpu=here.host_model,
        virttype=there.virttype,
    )
    told = (listened.proof("listening") or {}).get("ports")
    ports = told if isinstance(told, list) else []
    ended = False
    try:
        dialled = await _ask(
            source,
            "libvirt-dial",
            host=there.migration_name,
            names=sorted({there.migration_name, there.hostname} - {""}),
            ports=ports,
            token=token,
            daemon=there.daemon_ports,
            seconds=throughput_seconds,
            daemon_tls=_both(there.tls, here.tls),
            tls=streams,
        )
        ended = bool((dialled.proof("dialled") or {}).get("ended"))
    finally:
        if ports and not ended:
            # The source could not: until it ends by itself, it keeps ports from guests.
            await _ask(destination, "libvirt-listen", end=ports[0], address=address, token=token)
    return (PathFacts.of(there.migration_name, listened, dialled),)


async def measure_guest(
    _source: HostAccess, destination: HostAccess, guest: GuestSubject
) -> Sequence[object]:
    """Look at what a destination has for a guest.

    :raises UnavailableError: when it does not answer.
    """
    facts = guest.facts.find(GuestFacts)
    if facts is None or facts.error:
        return ()
    arrived = await _ask(
        destination,
        "libvirt-arrive",
        xml=facts.xml,
        virttype="qemu" if facts.emulated else "kvm",
        paths=[disk.source for disk in facts.disks if disk.source],
    )
    return (ArrivalFacts.of(arrived),)


async def _ask(access: HostAccess, section: str, **request: Any) -> Evidence:
    answer = await probe(access, {"seconds": _PROBE_SECONDS, section: request})
    return Evidence(answer["sections"].get(section))


def _both(server: TlsSet, client: TlsSet) -> Mapping[str, str] | None:
    """Return the paths that a handshake needs at its two ends; None where one lacks them."""
    if not (server.authority and server.server and client.authority):
        return None
    calls = client.client is not None and client.client_key.exists
    return {
        "authority": client.authority.path,
        "server_authority": server.authority.path,
        "server": server.server.path,
        "server_key": server.server_key.path,
        "client": client.client.path if calls and client.client else "",
        "client_key": client.client_key.path if calls else "",
    }


def _verifies(facts: LibvirtFacts) -> int:
    default = facts.qemu.number("default_tls_x509_verify", 1)
    return facts.qemu.number("migrate_tls_x509_verify", default)
