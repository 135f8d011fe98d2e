"""The guard: keeps a window on each host, and hands what they show to `Duties`."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from postcopy.clock import Clock, SystemClock
from postcopy.errors import PostcopyError, UsageError
from postcopy.watch.duties import Duties, Tend
from postcopy.watch.notice import Backoff, Kind, Notice, Quiet
from postcopy.watch.sighting import Sighting, Spread, pair
from postcopy.watch.window import Window

__all__ = ["Guard", "Report"]

_AWAY_SECONDS = (1.0, 60.0)
"""How soon a host that went away is tried again: at first, and at most."""
_STEPS_QUIET_SECONDS = 60.0
"""After which a step of a recovery is told for a second time: they go round while nothing helps."""


@dataclass(slots=True)
class Report:
    """What one round over all hosts came to.

    :ivar silent: the URIs of hosts that do not answer.
    :ivar open: the names of guests that are in post-copy, and nobody looks after them.
    """

    silent: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)


class Guard:
    """Watches hosts until it is cancelled, which leaves every guest as it is.

    :param tend: what brings a guest to its end.
    :param claim: holds the right to supervise the guest of a name and a UUID; raises `RefusedError`
        where somebody else has it, and the guest is left to that one then.
    :param tell: called with each notice; it must be quick and must not raise.
    :param interval: seconds after which a host is looked at though it told nothing.
    :param dry_run: only tell what would be done.
    """

    def __init__(
        self,
        windows: Sequence[Window],
        tend: Tend,
        claim: Callable[[str, str], AbstractContextManager[None]],
        *,
        tell: Callable[[Notice], None],
        interval: float = 5.0,
        dry_run: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._windows = {window.uri: window for window in windows}
        self._tell = tell
        self._interval = interval
        self._clock = clock or SystemClock()
        self._quiet = Quiet(self._clock)
        self._seen: dict[str, Sequence[Sighting] | None] = {}
        self._duties = Duties(
            self._windows,
            tend,
            claim,
            say=self._say,
            done=self._forget,
            interval=interval,
            dry_run=dry_run,
            clock=self._clock,
        )

    @property
    def status(self) -> str:
        """What it does now, in one line."""
        answer = sum(seen is not None for seen in self._seen.values())
        return (
            f"{answer} of {len(self._windows)} hosts answer;"
            f" guests in post-copy that are looked after: {len(self._duties.tasks)}"
        )

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Watch for ever.

        :param ready: called when each host was looked at, or did not answer.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for window in self._windows.values():
                    group.create_task(self._keep(window))
                while len(self._seen) < len(self._windows):
                    await self._clock.sleep(0.05)
                ready()
        finally:
            await self._duties.leave()

    async def once(self) -> Report:
        """Look at each host once, and bring all that is found to its end."""
        try:
            async with asyncio.TaskGroup() as group:
                for window in self._windows.values():
                    group.create_task(self._glance(window))
            spreads = self._consider(sure=True)
            while tasks := self._duties.tasks:
                await asyncio.wait(tasks)
            return Report(
                [uri for uri, seen in self._seen.items() if seen is None],
                [spread.name for spread in spreads if spread.uuid in self._duties.unhelped],
            )
        finally:
            await self._duties.leave()
            for window in self._windows.values():
                await window.close()

    async def _keep(self, window: Window) -> None:
        """Look at a host whenever it tells something, through all its absences."""
        away = Backoff(*_AWAY_SECONDS)
        while True:
            try:
                await self._open(window)
                while True:
                    self._see(window, await window.look())
                    await window.news(self._interval)
                    away.reset()  # one that goes as soon as it comes is not there yet
            except PostcopyError as error:
                self._lose(window, error, "; it is tried again, at least once a minute")
            finally:
                await window.close()
            await self._clock.sleep(away.failed())

    async def _glance(self, window: Window) -> None:
        try:
            await self._open(window)
            self._seen[window.uri] = await window.look()
        except PostcopyError as error:
            self._lose(window, error)

    async def _open(self, window: Window) -> None:
        await window.open()
        for other in self._windows.values():
            if other is window:
                return
            if other.uuid and other.uuid == window.uuid:
                raise UsageError(
                    f"{window.uri} is the same host as {other.uri}", hint="name each host once"
                )

    def _see(self, window: Window, sightings: Sequence[Sighting]) -> None:
        if window.uri in self._seen and self._seen[window.uri] is None:
            self._tell(self._notice(Kind.HOST_BACK, f"{window.uri} answers again", window.uri))
            self._quiet.forget(window.uri)
        self._seen[window.uri] = sightings
        self._consider()

    def _lose(self, window: Window, error: PostcopyError, more: str = "") -> None:
        self._seen[window.uri] = None
        hint = f" ({error.hint})" if error.hint else ""
        away = self._notice(Kind.HOST_AWAY, f"{error.message}{hint}{more}", window.uri)
        # What is in the way may change from try to try; that it is away is said once.
        self._quiet.say(window.uri, "away", lambda: self._tell(away))

    def _consider(self, *, sure: bool = False) -> list[Spread]:
        spreads = list(pair(self._seen, self._duties.pairs))
        self._duties.consider(spreads, sure=sure)
        self._quiet.forget_all_but({*self._duties.guests, *self._windows})
        return spreads

    def _forget(self, uuid: str) -> None:
        """Forget what was seen of a guest that has arrived since."""
        for uri, sightings in self._seen.items():
            if sightings is not None:
                self._seen[uri] = [one for one in sightings if one.uuid != uuid]

    def _notice(
        self, kind: Kind, text: str, host: str = "", spread: Spread | None = None
    ) -> Notice:
        now = self._clock.now()
        if spread is None:
            return Notice(at=now, kind=kind, text=text, host=host)
        source, destination = self._duties.pairs.get(
            spread.uuid, (spread.source, spread.destination)
        )
        return Notice(
            at=now,
            kind=kind,
            text=text,
            guest=spread.name,
            uuid=spread.uuid,
            source=source or "",
            destination=destination or "",
        )

    def _say(self, kind: Kind, text: str, spread: Spread) -> None:
        notice = self._notice(kind, text, spread=spread)
        steps = (Kind.RECOVERY, Kind.RECOVERED)
        seconds = _STEPS_QUIET_SECONDS if kind in steps else None
        self._quiet.say(spread.uuid, text, lambda: self._tell(notice), seconds)
        if kind is Kind.RECOVERED:
            # Another cut is another story; a hypervisor that lags has this one told twice.
            self._quiet.forget(spread.uuid)
            self._quiet.say(spread.uuid, text, lambda: None, seconds)
