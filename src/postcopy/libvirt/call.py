"""Whether a source's libvirt is done with the call that began a migration.

Where its daemon speaks with the other one over the path that broke, a peer-to-peer call outlives
the cut: it waits for an answer, or to say goodbye. If both QEMUs are connected past libvirt then,
the call takes the guest for one that never left: it has the source's copy go on, too (seen with
11.3; `qemuMigrationSrcPerformJob`).
"""

import asyncio
import contextlib

import libvirt

from postcopy.errors import PostcopyError, RetryableError, UnavailableError
from postcopy.libvirt.connection import Connection
from postcopy.libvirt.ends import Ends
from postcopy.libvirt.halves import half_of
from postcopy.libvirt.loop import in_thread
from postcopy.libvirt.ways import Way
from postcopy.migration.recovery import Half

__all__ = ["end", "under_way"]

_PATIENCE_SECONDS, _LOOK_SECONDS = 2.0, 0.1
_NOBODY = "qemu+unix:///system?socket=/nonexistent/postcopy"
_RESUME = (
    libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_PEER2PEER
    | libvirt.VIR_MIGRATE_POSTCOPY
    | getattr(libvirt, "VIR_MIGRATE_POSTCOPY_RESUME", 0)
    # Said to nobody; a daemon that insists on it (migrate_tls_force) would refuse without.
    | libvirt.VIR_MIGRATE_TLS
)


async def under_way(source: Connection, uuid: str) -> bool:
    """Return whether a libvirt that calls a post-copy failed still makes the call that began it.

    It is asked to resume the migration with a daemon that does not exist. It looks first whether it
    may, and if it may, finds nobody there and leaves everything as it is.

    :param source: to the source's libvirt, 8.5 or later.
    """
    if (domain := await source.find(uuid)) is None:
        return False
    try:
        await in_thread(domain.migrateToURI3, _NOBODY, {}, _RESUME)
    except libvirt.libvirtError as error:
        return bool(error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID)
    return False


async def end(ends: Ends, uuid: str, source: Way | None) -> None:
    """Wait until the source's libvirt is done with it, and hasten that where it harms nobody.

    Over a connection of its own: others may wait for an answer on those that are open.

    :param uuid: of the domain, which libvirt at the source calls interrupted.
    :param source: the way into the source's host, if there is one.
    :raises RetryableError: when it takes longer than is waited here.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_SECONDS):
            try:
                connection = await Connection.open(ends.source.uri)
            except UnavailableError:
                return  # a daemon that is gone makes no calls
            try:
                await _until_over(connection, ends, uuid, source)
            finally:
                await connection.close()
            return
    raise RetryableError(
        "the source's libvirt is not done with the call that began the migration",
        hint="it is once its daemon has heard from the other one, or has given it up",
    )


async def _until_over(connection: Connection, ends: Ends, uuid: str, source: Way | None) -> None:
    hung_up = False
    while await under_way(connection, uuid):
        if source is not None and not hung_up:
            hung_up = await _hang_up(ends, uuid, source)
        await asyncio.sleep(_LOOK_SECONDS)


async def _hang_up(ends: Ends, uuid: str, source: Way) -> bool:
    """Break off what the source's daemon waits for.

    Not before the destination's libvirt calls the post-copy failed: it ends what came over a
    connection that is closed earlier.
    """
    _, there = await ends.halves(uuid)
    if half_of(there, source=False) is not Half.PAUSED:
        return False
    with contextlib.suppress(PostcopyError):
        await source.hang_up()
    return True
