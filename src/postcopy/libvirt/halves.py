"""What libvirt says of one side of a post-copy, in the words of recovery."""

import libvirt

from postcopy.errors import RetryableError, UnavailableError
from postcopy.libvirt.connection import Connection
from postcopy.libvirt.look import Half as Seen
from postcopy.libvirt.look import look_at
from postcopy.libvirt.ways import Way
from postcopy.migration.recovery import Half

__all__ = ["half_of", "idle", "name_there"]

_PAUSED, _RUNNING = libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_RUNNING
_SOURCE = (
    (_PAUSED, "VIR_DOMAIN_PAUSED_POSTCOPY", Half.ACTIVE),
    (_PAUSED, "VIR_DOMAIN_PAUSED_POSTCOPY_FAILED", Half.PAUSED),
)
_DESTINATION = (
    (_RUNNING, "VIR_DOMAIN_RUNNING_POSTCOPY", Half.ACTIVE),
    (_RUNNING, "VIR_DOMAIN_RUNNING_POSTCOPY_FAILED", Half.PAUSED),
    (_PAUSED, "VIR_DOMAIN_PAUSED_POSTCOPY", Half.ACTIVE),
    (_PAUSED, "VIR_DOMAIN_PAUSED_POSTCOPY_FAILED", Half.PAUSED),
)


def half_of(seen: Seen, *, source: bool) -> Half:
    """Return what one host's libvirt says of its side of a post-copy."""
    if not seen.reachable:
        return Half.SILENT
    if not seen.active:
        left = (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_MIGRATED)
        return Half.DONE if source and (seen.state, seen.reason) == left else Half.GONE
    names = _SOURCE if source else _DESTINATION
    for state, name, half in names:
        if seen.state == state and seen.reason == getattr(libvirt, name, None):
            return half
    if not source and seen.state == libvirt.VIR_DOMAIN_RUNNING:
        return Half.DONE
    return Half.UNKNOWN


async def name_there(destination: Connection, uuid: str) -> str:
    """Return a domain's name at the destination.

    :raises UnavailableError: when it is not there any more.
    """
    domain = await destination.find(uuid)
    if domain is None:
        raise UnavailableError(f"{destination.uri} does not have the domain any more")
    return str(domain.name())


async def idle(connection: Connection, uuid: str, way: Way) -> None:
    """Return if a host's daemon may be restarted: nothing is being done with any other domain.

    Another one that is interrupted itself, and answers, keeps: a daemon takes it up again.

    :param uuid: of the domain that is to be recovered.
    :raises RetryableError: when something is: it would be called off, or go on unseen.
    """
    for domain in await connection.call(connection.handle.listAllDomains):
        if domain.UUIDString() == uuid:
            continue
        seen = await look_at(connection, domain.UUIDString())
        interrupted = Half.PAUSED in (half_of(seen, source=True), half_of(seen, source=False))
        if seen.migrating and not (interrupted and await way.awake(domain.name())):
            raise RetryableError(
                f"libvirt's daemon at {connection.uri} is not restarted: domain {domain.name()!r}"
                " is being migrated, or has another job",
                hint="wait for that one, or call it off",
            )
