"""What a guard does about each guest in post-copy: one task a guest, and when to try again."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from postcopy.clock import Clock
from postcopy.errors import JournalError, PostcopyError, RefusedError
from postcopy.migration.outcome import Fate, Outcome
from postcopy.units import format_seconds
from postcopy.watch.notice import Backoff, Kind
from postcopy.watch.sighting import Spread
from postcopy.watch.window import Window

__all__ = ["Duties", "Say", "Tend"]

_AGAIN_SECONDS = (5.0, 300.0)
"""How soon a guest that could not be helped is tried again: at first, and at most."""
_SURE_SECONDS = 2.0
"""How long a problem must stand: hosts are not looked at in the same moment."""


class Say(Protocol):
    """Has a guard say something of a guest."""

    def __call__(self, kind: Kind, text: str, spread: Spread) -> None: ...


class Tend(Protocol):
    """Sees one guest in post-copy to its end, however often its link breaks."""

    async def __call__(
        self, spread: Spread, hosts: Sequence[Window], tell: Callable[[Kind, str], None]
    ) -> Outcome:
        """Return how it ended.

        :param hosts: source and destination.
        :raises PostcopyError: when it cannot be reached.
        """
        ...


@dataclass(slots=True)
class _Duty:
    """What is known of one guest in post-copy.

    :ivar hosts: its source and its destination, once both were seen.
    :ivar since: when its problem was seen first.
    :ivar lost: what was seen when it was found lost; looked at again when that changes.
    :ivar claimed: whether somebody else looks after it.
    """

    hosts: tuple[str, str] | None = None
    again: Backoff = field(default_factory=lambda: Backoff(*_AGAIN_SECONDS))
    next_at: float = 0.0
    since: float | None = None
    lost: str = ""
    claimed: bool = False
    task: asyncio.Task[None] | None = None


class Duties:
    """The guests in post-copy. Parameters are those of `Guard`.

    :param say: called with what is to be said.
    :param done: called with the UUID of a guest that has arrived: what was seen of it is old.
    """

    def __init__(
        self,
        windows: Mapping[str, Window],
        tend: Tend,
        claim: Callable[[str, str], AbstractContextManager[None]],
        *,
        say: Say,
        done: Callable[[str], None],
        interval: float,
        dry_run: bool,
        clock: Clock,
    ) -> None:
        self._windows = windows
        self._tend = tend
        self._claim = claim
        self._say = say
        self._done = done
        self._interval = interval
        self._dry_run = dry_run
        self._clock = clock
        self._duties: dict[str, _Duty] = {}

    @property
    def pairs(self) -> Mapping[str, tuple[str, str]]:
        """Source and destination of each guest, as they were seen, by its UUID."""
        return {uuid: duty.hosts for uuid, duty in self._duties.items() if duty.hosts is not None}

    @property
    def guests(self) -> set[str]:
        """The UUIDs of those that something is known of."""
        return set(self._duties)

    @property
    def unhelped(self) -> set[str]:
        """The UUIDs of those that nobody looks after."""
        duties = self._duties.items()
        return {uuid for uuid, duty in duties if duty.task is None and not duty.claimed}

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """Those that are under way."""
        return [duty.task for duty in self._duties.values() if duty.task is not None]

    async def leave(self) -> None:
        """Stop looking after anybody; every guest stays as it is."""
        tasks = self.tasks
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def consider(self, spreads: Sequence[Spread], *, sure: bool = False) -> None:
        """Do for each guest what is to be done, and forget those that are in post-copy no more.

        :param sure: whether this is all that will be seen, so that problems are told at once.
        """
        found = {spread.uuid for spread in spreads}
        self._duties = {
            uuid: duty
            for uuid, duty in self._duties.items()
            if uuid in found or duty.task is not None
        }
        for spread in spreads:
            self._consider(spread, self._duties.setdefault(spread.uuid, _Duty()), sure)

    def _consider(self, spread: Spread, duty: _Duty, sure: bool) -> None:
        now = self._clock.now()
        if duty.task is not None:
            return
        if spread.problem or spread.source is None or spread.destination is None:
            duty.since = now if duty.since is None else duty.since
            if sure or now - duty.since >= _SURE_SECONDS:
                self._say(Kind.LEFT, f"left alone: {spread.seen}: {spread.problem}", spread)
            return
        duty.since = None
        duty.hosts = (spread.source, spread.destination)
        if now < duty.next_at or duty.lost == spread.seen:
            return
        if self._dry_run:
            do = "would be recovered" if spread.interrupted else "would be looked after"
            self._say(_kind(spread), f"{spread.seen}: {do}", spread)
            return
        hosts = [self._windows[uri] for uri in duty.hosts]
        duty.task = asyncio.create_task(self._look_after(spread, hosts, duty))

    async def _look_after(self, spread: Spread, hosts: Sequence[Window], duty: _Duty) -> None:
        try:
            with contextlib.ExitStack() as claims:
                try:
                    for name in await _names(spread, hosts):
                        claims.enter_context(self._claim(name, spread.uuid))
                except RefusedError as error:
                    duty.claimed = True
                    duty.next_at = self._clock.now() + self._interval
                    self._say(Kind.CLAIMED, f"left to another one: {error.message}", spread)
                    return
                except JournalError as error:
                    # Each step looks at both sides first: two at once are a nuisance, a guest that
                    # waits until somebody makes room on a disk is worse.
                    self._say(Kind.NOTE, f"going on without a claim: {error.message}", spread)
                duty.claimed = False
                do = "recovering it" if spread.interrupted else "looked after until it has arrived"
                self._say(_kind(spread), f"{spread.seen}: {do}", spread)
                outcome = await self._tend(
                    spread, hosts, lambda kind, text: self._say(kind, text, spread)
                )
            self._conclude(spread, duty, outcome)
        except PostcopyError as error:
            self._try_again(spread, duty, error.message)
        except Exception as error:  # noqa: BLE001 - one's trouble must not leave the others alone
            self._try_again(spread, duty, f"internal: {type(error).__name__}: {error}")
        finally:
            duty.task = None

    def _conclude(self, spread: Spread, duty: _Duty, outcome: Outcome) -> None:
        if outcome.fate is Fate.COMPLETED:
            text = f"it runs at {spread.destination}"
            if outcome.recoveries:
                times = "once" if outcome.recoveries == 1 else f"{outcome.recoveries} times"
                seconds = format_seconds(outcome.interrupted_seconds)
                text += f"; connected again {times}, interrupted for {seconds} in all"
            self._say(Kind.ARRIVED, text, spread)
            del self._duties[spread.uuid]
            self._done(spread.uuid)
        elif outcome.fate is Fate.FAILED:
            duty.lost = spread.seen
            self._say(Kind.FAILED, f"not recovered: {outcome.error}", spread)
        else:
            self._try_again(spread, duty, f"{outcome.fate}: {outcome.error}".rstrip(": "))

    def _try_again(self, spread: Spread, duty: _Duty, why: str) -> None:
        duty.next_at = self._clock.now() + duty.again.failed()
        self._say(Kind.FAILED, f"not recovered yet: {why}; it is tried again", spread)


async def _names(spread: Spread, hosts: Sequence[Window]) -> Sequence[str]:
    for host in hosts:
        with contextlib.suppress(PostcopyError):
            return await host.names(spread.uuid)
    return (spread.name, spread.uuid)


def _kind(spread: Spread) -> Kind:
    return Kind.INTERRUPTED if spread.interrupted else Kind.UNDER_WAY
