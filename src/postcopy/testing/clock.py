"""Time that passes only when somebody sleeps."""

import asyncio

__all__ = ["FakeClock"]


class FakeClock:
    """A clock that jumps instead of waiting.

    :param start: the first `now`, in Unix time.
    """

    def __init__(self, start: float = 1_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self._now += seconds
        # Let other tasks run, as a real sleep does.
        await asyncio.sleep(0)
