"""Knows from what the supervising command says when a fault is due."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable

from postcopy.bench.faults.model import Moment

__all__ = ["Cues", "moments_in"]

_SIGNS = (
    ("-> precopy", (Moment.PRECOPY,)),
    ("switch acknowledged", (Moment.SWITCH,)),
    ("recovery: connect:", (Moment.RECOVERY,)),
    ("recovery: recovered:", (Moment.AGAIN,)),
)
_POSTCOPY = "-> postcopy"
_AGAIN = ("recovering -> postcopy", "paused -> postcopy")


def moments_in(line: str) -> tuple[Moment, ...]:
    """Return the moments that a line of ``postcopy migrate`` or ``attach`` announces."""
    if _POSTCOPY in line and not any(again in line for again in _AGAIN):
        return (Moment.EARLY, Moment.POSTCOPY)
    return next((moments for sign, moments in _SIGNS if sign in line), ())


class Cues:
    """The moments that have come, each with its times in Unix seconds."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._at: dict[Moment, list[float]] = defaultdict(list)
        self._changed = asyncio.Event()

    def hear(self, line: str) -> None:
        """Take in a line that was just said."""
        for moment in moments_in(line):
            self.come(moment)

    def come(self, moment: Moment) -> None:
        """Note that a moment has come now."""
        self._at[moment].append(self._now())
        self._changed.set()
        self._changed = asyncio.Event()

    def first(self, moment: Moment, since: float = 0.0) -> float | None:
        """Return when a moment came, the first time not before `since`; None if not yet."""
        return next((at for at in self._at[moment] if at >= since), None)

    async def wait(self, moment: Moment, since: float = 0.0) -> float:
        """Wait for a moment, and return when it came."""
        while (at := self.first(moment, since)) is None:
            await self._changed.wait()
        return at
