"""Ways into two libvirt hosts, and between them, for recovery."""

from urllib.parse import parse_qs, urlsplit

from postcopy.errors import PostcopyError
from postcopy.hosts.access import HostAccess
from postcopy.hosts.way import HostWay
from postcopy.hosts.wire import HostWire
from postcopy.libvirt.readiness.conf import Conf
from postcopy.libvirt.ways import Ways

__all__ = ["host_of_uri", "ways_between"]

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
    address = await _migration_address(destination) if destination is not None else None
    wire = None
    if source is not None and (address or detour):
        wire = HostWire(source, address, _PORTS, detour)
    return Ways(
        HostWay(source, _PORTS) if source is not None else None,
        HostWay(destination, _PORTS) if destination is not None else None,
        wire,
        address,
    )


async def _migration_address(host: HostAccess) -> str | None:
    """Return where libvirt there has guests sent, if its configuration says so."""
    try:
        text = (await host.run("cat", "/etc/libvirt/qemu.conf", seconds=_SECONDS)).stdout
    except PostcopyError:
        return None
    values = Conf.parse(text).values
    for name in ("migration_host", "migration_address"):
        value = values.get(name)
        if isinstance(value, str) and value not in ("", "0.0.0.0", "::"):
            return value
    return None
