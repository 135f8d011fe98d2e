"""The calls that migrate: each takes as long as a migration, so they have their own connections."""

import asyncio
from typing import Any

import libvirt

from postcopy.libvirt.connection import Connection
from postcopy.libvirt.options import LibvirtOptions

__all__ = ["Carrier"]


class Carrier:
    """Begins migrations of one domain, and resumes them.

    :param guest: the domain's name at the source.
    :param uris: of the source, of the destination as seen from here, and as the source sees it.
    """

    def __init__(self, guest: str, uris: tuple[str, str, str], options: LibvirtOptions) -> None:
        self._guest = guest
        self._uris = uris
        self._options = options
        self._open: dict[str, Connection] = {}
        self._busy: list[Connection] = []
        self._last: asyncio.Task[Any] | None = None

    async def connect(self) -> None:
        """Reach the source ahead of the call."""
        await self._connection(self._uris[0])

    async def begin(
        self, *, peer_to_peer: bool, persistent: bool, xml: str | None = None
    ) -> asyncio.Task[Any]:
        """Make the call that migrates.

        :param persistent: whether the domain is, at the source.
        :param xml: its definition at the destination, while it runs; that of the options if None.
        :returns: the call, which ends when the migration does.
        """
        flags = self._options.flags(peer_to_peer=peer_to_peer, persistent=persistent)
        parameters = self._options.parameters()
        if xml is not None:
            parameters[libvirt.VIR_MIGRATE_PARAM_DEST_XML] = xml
        return await self._call(flags, parameters)

    async def resume(self, *, peer_to_peer: bool, persistent: bool) -> asyncio.Task[Any]:
        """Make the call that resumes an interrupted post-copy."""
        flags = self._options.flags(peer_to_peer=peer_to_peer, persistent=persistent)
        flags |= libvirt.VIR_MIGRATE_POSTCOPY | libvirt.VIR_MIGRATE_POSTCOPY_RESUME
        parameters = self._options.parameters()
        if self._options.recover_uri is not None:
            parameters[libvirt.VIR_MIGRATE_PARAM_URI] = self._options.recover_uri
        return await self._call(flags, parameters)

    async def close(self) -> None:
        """Let go of both daemons."""
        for connection in (*self._open.values(), *self._busy):
            await connection.close()
        self._open.clear()
        self._busy.clear()

    async def _call(self, flags: int, parameters: dict[str, Any]) -> asyncio.Task[Any]:
        if self._last is not None and not self._last.done():
            self._busy += self._open.values()
            self._open.clear()
        source = await self._connection(self._uris[0])
        leaving = await source.domain(self._guest)
        if flags & libvirt.VIR_MIGRATE_PEER2PEER:
            call = source.call(leaving.migrateToURI3, self._uris[2], parameters, flags)
        else:
            destination = await self._connection(self._uris[1])
            call = source.call(leaving.migrate3, destination.handle, parameters, flags)
        task = asyncio.create_task(call)
        # An error here is read later; asyncio must not complain when nobody comes to that.
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._last = task
        return task

    async def _connection(self, uri: str) -> Connection:
        """Return a connection that no other call is waiting on."""
        known = self._open.get(uri)
        if known is not None and await known.alive():
            return known
        self._open[uri] = await Connection.open(uri)
        return self._open[uri]
