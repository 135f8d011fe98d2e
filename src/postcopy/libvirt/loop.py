"""Where libvirt's own events come from, and where its blocking calls go.

libvirt's default event loop runs in a thread of its own for as long as the process lives, and hands
what it hears to asyncio. The asyncio implementation that comes with the bindings is not used:
libvirt calls it from whichever thread makes a call, and it then changes asyncio's loop from there,
which asyncio forbids. Each blocking call gets a thread too: a migration blocks for as long as it
takes, and a pool would run dry at a handful of them.
"""

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import libvirt

__all__ = ["in_thread", "start_events"]

P = ParamSpec("P")
R = TypeVar("R")


@functools.cache
def start_events() -> None:
    """Start libvirt's event loop; must come before the first connection. Later calls do nothing."""
    libvirt.virEventRegisterDefaultImpl()
    # Errors are raised as exceptions too; without this they also go to stderr.
    libvirt.registerErrorHandler(_ignore, None)

    def run() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    # An idle loop would sleep for ever and miss the connections made later.
    libvirt.virEventAddTimeout(1000, _ignore, None)
    threading.Thread(target=run, name="libvirt events", daemon=True).start()


def _ignore(*_: Any) -> None:
    pass


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a blocking call in a thread of its own and return its result.

    Being cancelled stops the waiting, not the call: libvirt cannot be interrupted.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[R] = loop.create_future()

    def settle(result: R | None, error: Exception | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # None only where R is None

    def run() -> None:
        result, error = None, None
        try:
            result = function(*args, **kwargs)
        except Exception as caught:  # noqa: BLE001 - it is raised again where it is awaited
            error = caught
        # A loop that has closed: nobody waits for this any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True).start()
    return await future
