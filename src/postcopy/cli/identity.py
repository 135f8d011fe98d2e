"""Which guest of a name is meant: what tells it apart from others that are called the same."""

from postcopy.cli.request import Request
from postcopy.errors import NotFoundError, PostcopyError, UnavailableError

__all__ = ["identity"]


async def identity(request: Request) -> str | None:
    """Return what tells the guest apart: a domain's UUID, a lab's guest, a QEMU's socket.

    Two spellings of one host's URI mean the same domain, so that the host is asked. A server of
    Nova's is some domain beneath, which others may be about to recover by its UUID.

    :returns: None where nobody can tell: then it is every guest of that name.
    """
    if request.os_cloud is not None:
        return None
    if request.source_uri is not None:
        return await _uuid(request.source_uri, request.destination, request.guest)
    if request.monitors[0] is not None:
        return str(request.monitors[0].resolve())
    from postcopy.lab.domain import LabDomain
    from postcopy.lab.lab import Lab

    lab = Lab(request.lab)
    if request.guest in LabDomain.names(lab):
        return LabDomain.load(lab, request.guest).uuid
    return f"lab-{request.lab}"


async def _uuid(source: str, destination: str, guest: str) -> str | None:
    """Return a domain's UUID, as the first of both hosts that knows it has it."""
    from postcopy.libvirt.connection import Connection

    for uri in (source, destination):
        try:
            connection = await Connection.open(uri)
        except UnavailableError:
            continue
        try:
            domain = await connection.domain(guest)
            return str(await connection.call(domain.UUIDString))
        except NotFoundError:
            continue
        except PostcopyError:
            return None
        finally:
            await connection.close()
    return None
