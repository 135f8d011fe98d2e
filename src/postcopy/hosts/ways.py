"""Ways into two libvirt hosts, and between them, for recovery."""

import contextlib
from urllib.parse import parse_qs, urlsplit

from postcopy.errors import PostcopyError
from postcopy.hosts.access import HostAccess
from postcopy.hosts.way import HostWay
from postcopy.hosts.wire import HostWire
from postcopy.libvirt.readiness.conf import Conf
from postcopy.libvirt.ways import Ways

__all__ = ["host_of_uri", "migration_address", "ways_between"]

_PORTS = (49152, 49215)
_SECONDS = 10.0


def host_of_uri(uri: str) -> str | None:
    """Return the host behind a libvirt URI, as `connect` takes it; None where that cannot be told.

    A user who reaches libvirt there by SSH, or locally, reaches the host in the same way.
    """
    parts = urlsplit(uri)
    query = parse_qs(parts.query)
    if parts.scheme in ("qemu", "qemu+unix") and not parts.hostname and "socket" not in query:
        return "local"
    if parts.scheme == "qemu+ssh" and parts.hostname and "command" not in query:
        return f"ssh://{parts.netloc}"
    return None


async def ways_between(
    source: HostAccess | None, destination: HostAccess | None, recover_uri: str | None = None
) -> Ways:
    """Return ways into both hosts, and the one between them where its other end is known.

    :param recover_uri: where the destination is on another network, to be recovered over.
    """
    detour = urlsplit(recover_uri).hostname if recover_uri else None
    conf = await _configuration(destination)
    address, ports = _address_in(conf), _ports_in(conf)
    wire = None
    if source is not None and (address or detour):
        wire = HostWire(source, address, ports, detour)
    return Ways(
        HostWay(source, ports) if source is not None else None,
        HostWay(destination, ports) if destination is not None else None,
        wire,
        address,
    )


async def migration_address(host: HostAccess) -> str | None:
    """Return where libvirt there has guests sent, if its configuration says so."""
    return _address_in(await _configuration(host))


async def _configuration(host: HostAccess | None) -> Conf:
    """Return what libvirt's ``qemu.conf`` says there; nothing where that cannot be read."""
    text = ""
    if host is not None:
        with contextlib.suppress(PostcopyError):
            text = (await host.run("cat", "/etc/libvirt/qemu.conf", seconds=_SECONDS)).stdout
    return Conf.parse(text)


def _address_in(conf: Conf) -> str | None:
    """Return where a host has guests sent, if its configuration says so."""
    for name in ("migration_host", "migration_address"):
        if (value := conf.text(name)) not in ("", "0.0.0.0", "::"):
            return value
    return None


def _ports_in(conf: Conf) -> tuple[int, int]:
    """Return the first and the last port that a host's incoming migrations use."""
    first, last = _PORTS
    return conf.number("migration_port_min", first), conf.number("migration_port_max", last)
