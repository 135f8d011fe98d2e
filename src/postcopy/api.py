"""The library's front door: connect to a host, name a guest, move it, watch it go.

::

    async with postcopy.connect("qemu:///system") as host:
        migration = host.guest("web1").migrate("qemu+ssh://root@beta/system", policy="adaptive")
        async for event in migration:
            print(event.text)
        outcome = await migration
"""

import asyncio
import time
from collections.abc import AsyncIterator, Generator
from types import TracebackType
from typing import Any, Self

from postcopy import policy as policies
from postcopy.errors import NotFoundError
from postcopy.libvirt.connection import Connection
from postcopy.libvirt.driver import LibvirtDriver
from postcopy.libvirt.options import LibvirtOptions
from postcopy.libvirt.rescue import Ways
from postcopy.migration.decision import Policy
from postcopy.migration.driver import Driver
from postcopy.migration.event import Event
from postcopy.migration.journal import Journal
from postcopy.migration.outcome import Outcome
from postcopy.migration.supervisor import Supervisor

__all__ = ["Guest", "Host", "Migration", "connect"]


class Migration:
    """A migration under way: iterate for its events, await for its outcome.

    It begins when it is first iterated or awaited. Leaving the iteration early stops nothing: await
    it, or `detach` from it. Errors of the migration are raised where it is iterated or awaited.

    :param supervision: more parameters of `postcopy.migration.Supervisor`.
    """

    def __init__(self, driver: Driver, policy: Policy, **supervision: Any) -> None:
        self._driver = driver
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._supervisor = Supervisor(
            driver, policy, observe=self._events.put_nowait, **supervision
        )
        self._task: asyncio.Task[Outcome] | None = None

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._iterate()

    def __await__(self) -> Generator[Any, None, Outcome]:
        return self._begun().__await__()

    def switch(self) -> None:
        """Go over to post-copy at the next sample, whatever the policy says."""
        self._supervisor.ask_to_switch()

    def cancel(self) -> None:
        """Call it off at the next sample; the guest goes on where it is.

        :raises RefusedError: once post-copy was asked for.
        """
        self._supervisor.ask_to_cancel()

    async def detach(self) -> None:
        """Stop watching; the migration goes on by itself."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    def _begun(self) -> asyncio.Task[Outcome]:
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return self._task

    async def _run(self) -> Outcome:
        try:
            return await self._supervisor.run()
        finally:
            self._events.put_nowait(None)
            await self._driver.close()

    async def _iterate(self) -> AsyncIterator[Event]:
        task = self._begun()
        while (event := await self._events.get()) is not None:
            yield event
        await task  # raises what went wrong, if something did


class Guest:
    """A domain on a host, from `Host.guest`; whether it exists is found out when it moves."""

    def __init__(self, host: "Host", name: str) -> None:
        self.host = host
        self.name = name

    def migrate(
        self,
        destination: str,
        *,
        policy: str | Policy = "adaptive",
        peer_uri: str | None = None,
        journal: Journal | None = None,
        ways: Ways | None = None,
        **options: Any,
    ) -> Migration:
        """Move the guest.

        :param destination: a libvirt URI, as seen from here.
        :param policy: a name of `postcopy.policy.POLICIES`, with parameters as
            ``nova:completion_timeout=15`` if need be, or any object that decides.
        :param peer_uri: the destination as the source sees it, if that differs.
        :param journal: where to record the run.
        :param ways: into both hosts, for recovery after a cut (`postcopy.hosts.ways`).
        :param options: those of `postcopy.libvirt.LibvirtOptions`.
        :raises UsageError: when an option makes no sense.
        :raises RefusedError: when options exclude each other and post-copy.
        """
        chosen = policies.find(policy) if isinstance(policy, str) else policy
        how = LibvirtOptions(**{"postcopy": chosen.uses_postcopy, **options})
        driver = LibvirtDriver(
            self.name, self.host.uri, destination, how, peer_uri=peer_uri, ways=ways
        )
        run_id = 0
        if journal is not None:
            run_id = journal.begin(
                guest=self.name,
                source=self.host.uri,
                destination=destination,
                policy=policies.spec_of(chosen),
                driver={**driver.record(), "names": [self.host.uri, destination]},
                started_at=time.time(),
            ).id
        return Migration(
            driver, chosen, journal=journal, run_id=run_id, downtime_limit=how.downtime_limit
        )


class Host:
    """A libvirt host; a context that connects and lets go. Make it with `connect`."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        self._connection = await Connection.open(self.uri)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            await self._connection.close()

    def guest(self, name: str) -> Guest:
        """Name a guest of this host."""
        return Guest(self, name)

    async def guests(self) -> list[Guest]:
        """Return all domains of this host.

        :raises NotFoundError: before the context was entered.
        """
        if self._connection is None:
            raise NotFoundError(
                f"not connected to {self.uri}", hint="use it as: async with postcopy.connect(uri)"
            )
        names = await self._connection.domain_names()
        return [Guest(self, name) for name in names]


def connect(uri: str) -> Host:
    """Return a host, to be used as ``async with``."""
    return Host(uri)
