"""Sees one guest to its end through libvirt, as ``postcopy attach`` and ``recover`` do."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from postcopy import policy as policies
from postcopy.clock import Clock, SystemClock
from postcopy.errors import JournalError
from postcopy.hosts import HostAccess, connect
from postcopy.hosts.ways import host_of_uri, ways_between
from postcopy.libvirt.driver import LibvirtDriver
from postcopy.libvirt.options import LibvirtOptions
from postcopy.migration.event import Event, Noted, PhaseChanged, Recovered, SampleTaken
from postcopy.migration.journal import Journal, Run
from postcopy.migration.outcome import Fate, Outcome
from postcopy.migration.phase import Phase
from postcopy.migration.recovery import Ending
from postcopy.migration.supervisor import Supervisor
from postcopy.watch.notice import Kind
from postcopy.watch.sighting import Spread
from postcopy.watch.window import Window

__all__ = ["LazyRecord", "Means", "Tender"]

_POLICY = "precopy"  # nothing is to be switched any more
_OPEN = (None, Fate.INTERRUPTED, Fate.UNKNOWN, Fate.DETACHED)
_KEPT_EVENTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a guard may use.

    :ivar hosts: ways into hosts, by their libvirt URI, as ``postcopy check`` takes hosts; that of a
        ``qemu+ssh`` or a local URI where none is given.
    :ivar lab: the lab whose hosts bare names are; for those who pick a run up later.
    :ivar peer_uri: how sources reach a destination, with ``{host}`` for what that calls itself; as
        it is reached from here if None.
    :ivar recover_uri: the same for another network to recover over, as ``tcp://{host}-backup``.
    :ivar seconds: for how long to try, each time; for ever if None.
    """

    hosts: Mapping[str, str] = field(default_factory=dict)
    lab: str = "default"
    peer_uri: str | None = None
    recover_uri: str | None = None
    seconds: float | None = None


class Tender:
    """A `postcopy.watch.duties.Tend` for libvirt domains.

    :param journal: where recoveries are recorded; nothing is recorded without it.
    :param named: makes a host of a bare name, such as that of a lab's host.
    """

    def __init__(
        self,
        means: Means,
        journal: Journal | None,
        named: Callable[[str], HostAccess],
        clock: Clock | None = None,
    ) -> None:
        self._means = means
        self._journal = journal
        self._named = named
        self._clock = clock or SystemClock()

    async def __call__(
        self, spread: Spread, hosts: Sequence[Window], tell: Callable[[Kind, str], None]
    ) -> Outcome:
        """Follow a migration, recover it, and return how it ended.

        :raises PostcopyError: when neither host answers, or has the domain.
        """
        source, destination = hosts
        specs = [self._means.hosts.get(host.uri) or host_of_uri(host.uri) for host in hosts]
        accesses = [connect(spec, self._named) if spec else None for spec in specs]
        run = self._run_of(spread, source.uri, destination.uri)
        try:
            driver = await self._driver(spread, hosts, accesses, run)
            try:
                return await self._supervise(driver, spread.uuid, run, specs, tell)
            finally:
                await asyncio.shield(driver.close())
        finally:
            for access in accesses:
                if access is not None:
                    await access.close()

    def _run_of(self, spread: Spread, source: str, destination: str) -> Run | None:
        """Return the run of an earlier supervisor that was killed or has given up."""
        for run in self._journal.runs(spread.name, limit=1) if self._journal is not None else ():
            ends = (run.driver.get("source"), run.driver.get("destination"))
            is_open = (run.outcome and run.outcome.fate) in _OPEN
            if run.driver.get("kind") == "libvirt" and ends == (source, destination) and is_open:
                return run
        return None

    async def _driver(
        self,
        spread: Spread,
        hosts: Sequence[Window],
        accesses: Sequence[HostAccess | None],
        run: Run | None,
    ) -> LibvirtDriver:
        source, destination = hosts
        peer_uri, recover_uri = (
            text and text.replace("{host}", destination.host)
            for text in (self._means.peer_uri, self._means.recover_uri)
        )
        options = LibvirtOptions(dname=spread.dname)
        if run is not None:
            options = LibvirtOptions.of_record(run.driver["options"])
            peer_uri = peer_uri or run.driver["peer"]
        options = replace(options, postcopy=True, recover_uri=recover_uri or options.recover_uri)
        return LibvirtDriver(
            spread.name,
            source.uri,
            destination.uri,
            options,
            peer_uri=peer_uri,
            ways=await ways_between(accesses[0], accesses[1], options.recover_uri),
        )

    async def _supervise(
        self,
        driver: LibvirtDriver,
        uuid: str,
        run: Run | None,
        specs: Sequence[str | None],
        tell: Callable[[Kind, str], None],
    ) -> Outcome:
        data = driver.record()
        names = [data["source"], data["destination"]]
        access = {"hosts": list(specs), "lab": self._means.lab}

        def begin(journal: Journal) -> int:
            return journal.begin(
                guest=driver.guest,
                source=names[0],
                destination=names[1],
                policy=_POLICY,
                driver={**data, "names": names, "access": access, "claim": uuid},
                started_at=self._clock.now(),
            ).id

        record = LazyRecord(self._journal if run is None else None, begin, tell)

        def observe(event: Event) -> None:
            record(event)
            if isinstance(event, Recovered):
                tell(_kind(event.step), event.step)
            elif isinstance(event, Noted):
                tell(Kind.NOTE, event.text)

        supervisor = Supervisor(
            driver,
            policies.find(_POLICY),
            recover_seconds=self._means.seconds,
            journal=self._journal if run is not None else None,
            run_id=run.id if run is not None else 0,
            observe=observe,
            clock=self._clock,
        )
        outcome = await supervisor.run(attach=True)
        record.end(outcome)
        return outcome


class LazyRecord:
    """Records a run from the moment that its connection breaks: until then it is somebody else's.

    :param begin: begins one, and returns its number.
    :param tell: told once when the journal cannot be written; a guest matters more.
    """

    def __init__(
        self,
        journal: Journal | None,
        begin: Callable[[Journal], int],
        tell: Callable[[Kind, str], None],
    ) -> None:
        self._journal = journal
        self._run: int | None = None
        self._begin = begin
        self._tell = tell
        self._before: deque[Event] = deque(maxlen=_KEPT_EVENTS)

    def __call__(self, event: Event) -> None:
        """Take an event in."""
        if self._journal is None:
            return
        self._before.append(event)
        try:
            if self._run is None and _is_trouble(event):
                self._run = self._begin(self._journal)
            while self._run is not None and self._before:
                self._journal.record(self._run, self._before.popleft())
        except JournalError as error:
            self._give_up(error)

    def end(self, outcome: Outcome) -> None:
        """Record how it ended, if there is anything on record."""
        if self._journal is not None and self._run is not None:
            try:
                self._journal.end(self._run, outcome)
            except JournalError as error:
                self._give_up(error)

    def _give_up(self, error: JournalError) -> None:
        self._journal = None
        self._tell(Kind.NOTE, f"going on without the journal: {error.message}")


def _kind(step: str) -> Kind:
    kinds = {Ending.RECOVERED: Kind.RECOVERED, "interrupted": Kind.INTERRUPTED}
    return kinds.get(step.partition(":")[0], Kind.RECOVERY)


def _is_trouble(event: Event) -> bool:
    if isinstance(event, PhaseChanged):
        return event.after in (Phase.PAUSED, Phase.RECOVERING, Phase.FAILED)
    if isinstance(event, SampleTaken):
        return event.sample.phase is Phase.PAUSED
    return isinstance(event, Recovered)
