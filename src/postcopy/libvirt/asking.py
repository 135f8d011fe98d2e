"""A question to a daemon that may keep everybody waiting, and is not asked twice at a time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

__all__ = ["Asking"]

T = TypeVar("T")


class Asking(Generic[T]):
    """One question, asked again and again.

    A daemon that was restarted in the middle may take half a minute to answer, and a call to
    libvirt cannot be ended: what has not been answered is waited for, and not asked once more.
    """

    def __init__(self) -> None:
        self._asked: asyncio.Task[T] | None = None

    async def answer(self, ask: Callable[[], Coroutine[Any, Any, T]], seconds: float) -> T | None:
        """Ask, if nothing is open, and return the answer; None if it does not come in time.

        :raises: what the question raises.
        """
        if self._asked is None:
            self._asked = asyncio.create_task(ask())
        done, _ = await asyncio.wait([self._asked], timeout=seconds)
        if not done:
            return None
        asked, self._asked = self._asked, None
        return asked.result()

    def forget(self) -> None:
        """Wait no longer for what is open."""
        if self._asked is not None:
            self._asked.cancel()
        self._asked = None
