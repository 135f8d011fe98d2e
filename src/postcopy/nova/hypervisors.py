"""The libvirts beneath a migration that Nova drives: they tell what Nova cannot."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Protocol

import libvirt

from postcopy.errors import NotFoundError, PostcopyError
from postcopy.libvirt.connection import DomainEvent
from postcopy.libvirt.ends import Ends
from postcopy.libvirt.look import Half, judge
from postcopy.libvirt.status import phase_of_event
from postcopy.migration.phase import Phase
from postcopy.nova.look import Seen

__all__ = ["Hypervisors", "Watcher", "uris"]


class Watcher(Protocol):
    """What the driver wants of libvirt."""

    async def open(self) -> None:
        """Reach the source; the destination may be silent for now."""
        ...

    async def look(self) -> Seen | None:
        """Return what they say; None where the source's does not answer."""
        ...

    async def wait(self, seconds: float) -> None:
        """Return when something has happened, or after that time."""
        ...

    async def suspend(self) -> None:
        """Stop the guest at the source; it goes on at whichever end it is found."""
        ...

    async def set_downtime_limit(self, seconds: float) -> None:
        """Set how long the guest may stand still at a pre-copy switchover."""
        ...

    @property
    def final(self) -> Mapping[str, Any] | None:
        """The statistics of the job that is over, once libvirt has told them."""
        ...

    async def close(self) -> None:
        """Let go of both."""
        ...


def uris(template: str, source: str, destination: str) -> tuple[str, str | None]:
    """Return the URIs of both ends.

    :param template: a URI with ``{host}`` in it; one without is the source's alone.
    :param destination: empty where it is not known.
    """
    if "{host}" not in template:
        return template, None
    there = template.replace("{host}", destination) if destination else None
    return template.replace("{host}", source), there


class Hypervisors:
    """Connections to both libvirts, which only watch.

    :param uuid: of the domain, which is the server's.
    :param destination_uri: None where it is not known.
    """

    def __init__(self, uuid: str, source_uri: str, destination_uri: str | None) -> None:
        self.final: Mapping[str, Any] | None = None
        self._uuid = uuid
        self._uri = source_uri
        self._ends = Ends(source_uri, destination_uri)
        self._stack = contextlib.AsyncExitStack()
        self._events: asyncio.Queue[DomainEvent] = asyncio.Queue()
        self._heard: dict[str, DomainEvent] = {}

    async def open(self) -> None:
        """Connect, and hear of the domain.

        :raises UnavailableError: when the source's libvirt does not answer.
        :raises NotFoundError: when neither has the domain.
        """
        try:
            await self._ends.connect()
        except PostcopyError:
            if self._ends.both[0] is None:
                raise
        halves = await self._ends.halves(self._uuid)
        if all(half.state is None for half in halves):
            raise NotFoundError(
                f"there is no domain {self._uuid} at {self._uri}",
                hint="is --source-uri that of the host where the server is? {host} in it stands"
                " for the host's name",
            )
        await self._listen()

    async def look(self) -> Seen | None:
        """Ask both."""
        heard, self._heard = self._heard, {}
        if await self._ends.reconnect():
            await self._listen()
        source, destination = await self._ends.halves(self._uuid)
        if not source.reachable and not destination.reachable:
            return None
        statistics = await self._statistics() if source.active else {}
        phase = judge(source, destination)
        if (said := heard.get("lifecycle")) is not None:
            announced = phase_of_event(said.event, said.detail)
            if announced is not None and phase in (Phase.PRECOPY, Phase.SWITCHOVER, Phase.UNKNOWN):
                phase = announced
        passed = heard.get("iteration")
        return Seen(
            phase=phase,
            words=_words(source, destination),
            gone=source.reachable and not source.active,
            stopped=source.state == libvirt.VIR_DOMAIN_PAUSED and phase is Phase.PRECOPY,
            statistics=statistics,
            pass_ended_at=passed.at if passed is not None and passed.detail >= 2 else None,
        )

    async def wait(self, seconds: float) -> None:
        """Wait for the next event; of several, the next look heeds the latest of each kind."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                self._hear(await self._events.get())
            while not self._events.empty():
                self._hear(self._events.get_nowait())

    def _hear(self, event: DomainEvent) -> None:
        self._heard[event.kind] = event
        if event.kind == "job-completed":
            self.final = event.figures

    async def suspend(self) -> None:
        """Stop the guest."""
        await self._ends.source.call((await self._domain()).suspend)

    async def set_downtime_limit(self, seconds: float) -> None:
        """Set it at the source; Nova's own steps come on top."""
        milliseconds = max(1, round(seconds * 1000))
        await self._ends.source.call((await self._domain()).migrateSetMaxDowntime, milliseconds, 0)

    async def close(self) -> None:
        """Let go of both daemons."""
        await self._stack.aclose()
        await self._ends.close()

    async def _listen(self) -> None:
        source, _ = self._ends.both
        if source is not None:
            self._events = await self._stack.enter_async_context(source.events(self._uuid))

    async def _domain(self) -> libvirt.virDomain:
        domain = await self._ends.source.find(self._uuid)
        if domain is None:
            raise NotFoundError(f"domain {self._uuid} has left {self._uri}")
        return domain

    async def _statistics(self) -> Mapping[str, Any]:
        with contextlib.suppress(PostcopyError):
            domain = await self._domain()
            return dict(await self._ends.source.call(domain.jobStats))
        return {}


def _words(source: Half, destination: Half) -> str:
    return f"libvirt at the source: {source}; at the destination: {destination}"
