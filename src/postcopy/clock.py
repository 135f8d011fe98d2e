"""What time it is, in a form that can be compared between processes and faked in tests.

A migration outlives the process that watches it, so its samples carry Unix time; but Unix time may
step while a pass is being measured. `SystemClock` anchors itself to Unix time once, when it is
made, and then counts with the monotonic clock.
"""

import asyncio
import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """The two things that code here may want of time."""

    def now(self) -> float:
        """Return seconds since the Unix epoch; never goes backwards in one process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        ...


class SystemClock:
    """The real time."""

    def __init__(self) -> None:
        self._anchor = time.time() - time.monotonic()

    def now(self) -> float:
        return self._anchor + time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
