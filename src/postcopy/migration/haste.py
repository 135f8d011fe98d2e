"""Has a guest's requests for missing pages go out at once, while others watch the migration."""

import asyncio
from collections.abc import Callable

from postcopy.clock import Clock
from postcopy.errors import PostcopyError
from postcopy.migration.driver import Driver
from postcopy.migration.event import Event, Noted
from postcopy.migration.phase import Phase
from postcopy.migration.recovery import Rescue
from postcopy.migration.sample import Sample

__all__ = ["Haste"]

_TRIES = 3
"""How often it is asked for where no connection is found: they may not all be there yet."""


class Haste:
    """Asks once for each time that both sides are connected, and lets no decision wait for that.

    :param before: whether to ask before the switch already, so that the first request is quick.
    :param tell: called when it cannot be done, the first time.
    """

    def __init__(
        self, driver: Driver, clock: Clock, *, before: bool, tell: Callable[[Event], None]
    ) -> None:
        self._driver = driver
        self._clock = clock
        self._tell = tell
        self._phases = {Phase.POSTCOPY, *([Phase.PRECOPY] if before else [])}
        self._tries = _TRIES
        self._told = False
        self._asking: asyncio.Task[None] | None = None

    def see(self, sample: Sample) -> None:
        """Take a sample in, and begin to ask if it is time."""
        rescue = self._driver.rescue
        if sample.phase not in self._phases or rescue is None or not self._tries:
            return
        if self._asking is None or self._asking.done():
            self._tries -= 1
            self._asking = asyncio.create_task(self._ask(rescue))

    async def begin_anew(self) -> None:
        """Take in that both sides were connected again: these are other connections."""
        await self.stop()
        self._tries = _TRIES

    async def stop(self) -> None:
        """Ask no more; whoever was asked may still do it."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _ask(self, rescue: Rescue) -> None:
        try:
            count = await rescue.hasten()
        except PostcopyError as problem:
            if not self._told:
                self._told = True
                said = f"requests for missing pages wait for each other: {problem.message}"
                self._tell(Noted(self._clock.now(), said))
            count = 1
        if count:
            self._tries = 0
