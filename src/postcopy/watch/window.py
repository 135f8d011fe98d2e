"""What one libvirt host shows of its guests, and tells by itself when that changes."""

import asyncio
import contextlib
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import libvirt

from postcopy.errors import NotFoundError, UnavailableError
from postcopy.libvirt.connection import Connection, DomainEvent
from postcopy.libvirt.opening import Opening
from postcopy.watch.sighting import Sighting, State

__all__ = ["LibvirtWindow", "Window"]

_LOOK_SECONDS = 10.0
_CLOSE_SECONDS = 2.0
_NOVA = "{http://openstack.org/xmlns/libvirt/nova/"


class Window(Protocol):
    """A host, as a guard sees it. Whatever fails raises a `PostcopyError`; it is opened anew then.

    :ivar uri: what the user calls the host.
    :ivar host: what it calls itself; known once it was open.
    :ivar uuid: what tells it from other hosts, by whatever URI it is reached; likewise.
    """

    uri: str
    host: str
    uuid: str

    async def open(self) -> None:
        """Reach the host."""
        ...

    async def look(self) -> Sequence[Sighting]:
        """Return its active guests."""
        ...

    async def news(self, seconds: float) -> None:
        """Return when a guest's state may have changed, or after that time."""
        ...

    async def names(self, uuid: str) -> Sequence[str]:
        """Return every name that somebody may claim a guest by."""
        ...

    async def close(self) -> None:
        """Let go of the host."""
        ...


class LibvirtWindow:
    """A `Window` through libvirt."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.host = ""
        self.uuid = ""
        self._opening = Opening(uri)
        self._stack = contextlib.AsyncExitStack()
        self._connection: Connection | None = None
        self._events: asyncio.Queue[DomainEvent] = asyncio.Queue()
        self._closing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Connect, and have libvirt tell what happens to its domains.

        :raises UnavailableError: when the daemon does not answer.
        """
        connection = await self._opening.connection()
        self._stack.push_async_callback(connection.close)
        self._events = await self._stack.enter_async_context(connection.events())
        self.host, self.uuid = await connection.host_name(), await connection.host_uuid()
        self._connection = connection

    async def look(self) -> Sequence[Sighting]:
        """Ask for the states of all active domains: one call, which waits for none of them."""
        connection = self._open()
        async with self._in_time():
            told = await connection.call(
                connection.handle.getAllDomainStats,
                libvirt.VIR_DOMAIN_STATS_STATE,
                libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE,
            )
        return [
            Sighting(
                domain.UUIDString(),
                domain.name(),
                state_of(figures.get("state.state", -1), figures.get("state.reason", -1)),
            )
            for domain, figures in told
        ]

    async def news(self, seconds: float) -> None:
        """Wait for libvirt to say that a domain was paused or runs again.

        :raises UnavailableError: when the daemon has gone.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not _changes(event := await self._events.get()):
                    if event.kind == "closed":
                        raise UnavailableError(
                            f"libvirt at {self.uri} has closed the connection",
                            hint="was libvirtd restarted there?",
                        )
        while not self._events.empty() and self._events.get_nowait().kind != "closed":
            pass  # one look answers them all

    async def names(self, uuid: str) -> Sequence[str]:
        """Return a domain's name and UUID, and the name of its server, if Nova has made it."""
        connection = self._open()
        async with self._in_time():
            domain = await connection.find(uuid)
            if domain is None:
                raise NotFoundError(f"domain {uuid} is not at {self.uri} any more")
            tree = ET.fromstring(await connection.call(domain.XMLDesc, 0))
        servers = [
            name.text or ""
            for name in tree.iterfind("metadata//*")
            if name.tag.startswith(_NOVA) and name.tag.endswith("}name")
        ]
        return list(dict.fromkeys(filter(None, (domain.name(), uuid, *servers))))

    async def close(self) -> None:
        """Let go of the daemon. One that hangs is let go of when libvirt, too, gives it up.

        An attempt to reach it that hangs is kept for the next time.
        """
        self._connection = None
        stack, self._stack = self._stack, contextlib.AsyncExitStack()
        closing = asyncio.create_task(stack.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        await asyncio.wait([closing], timeout=_CLOSE_SECONDS)

    @contextlib.asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                yield
        except TimeoutError:
            raise UnavailableError(
                f"libvirt at {self.uri} does not answer any more", hint="is libvirtd busy there?"
            ) from None

    def _open(self) -> Connection:
        if self._connection is None:
            raise UnavailableError(f"libvirt at {self.uri} does not answer")
        return self._connection


_STATES = {
    (libvirt.VIR_DOMAIN_PAUSED, "VIR_DOMAIN_PAUSED_POSTCOPY"): State.LEAVING,
    (libvirt.VIR_DOMAIN_PAUSED, "VIR_DOMAIN_PAUSED_POSTCOPY_FAILED"): State.STRANDED,
    (libvirt.VIR_DOMAIN_RUNNING, "VIR_DOMAIN_RUNNING_POSTCOPY"): State.ARRIVING,
    (libvirt.VIR_DOMAIN_RUNNING, "VIR_DOMAIN_RUNNING_POSTCOPY_FAILED"): State.HALTED,
}


def state_of(state: int, reason: int) -> State:
    """Return what ``VIR_DOMAIN_*`` and its reason mean for post-copy."""
    for (known, name), meant in _STATES.items():
        if state == known and reason == getattr(libvirt, name, None):
            return meant
    return State.RUNNING if state == libvirt.VIR_DOMAIN_RUNNING else State.OTHER


def _changes(event: DomainEvent) -> bool:
    kinds = (libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_RESUMED)
    return event.kind == "lifecycle" and event.event in kinds
