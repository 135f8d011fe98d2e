"""Sees a supervisor through the world around it: interrupts and requests from other processes."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

from postcopy.errors import PostcopyError, RefusedError
from postcopy.migration.outcome import Outcome
from postcopy.migration.supervisor import Supervisor

__all__ = ["CANCEL_SIGNAL", "SWITCH_SIGNAL", "conduct"]

CANCEL_SIGNAL = signal.SIGUSR1
"""Sent to a supervising process by one that wants the migration called off."""
SWITCH_SIGNAL = signal.SIGUSR2
"""Sent to a supervising process by one that wants post-copy now."""


async def conduct(
    supervisor: Supervisor,
    *,
    attach: bool = False,
    complain: Callable[[PostcopyError], None] = lambda error: None,
) -> Outcome:
    """Run a supervisor to the migration's end.

    An interrupt calls the migration off while that is safe, and the guest stays where it is; from
    post-copy on the migration is left to go on by itself. Either way `asyncio.CancelledError`
    reaches the caller. A request by signal that cannot be met goes to `complain`.
    """
    task = asyncio.create_task(supervisor.run(attach=attach))
    with _requests(supervisor, complain):
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                try:
                    supervisor.ask_to_cancel()
                    await task
                except RefusedError:
                    await _leave(task)
            raise


async def _leave(task: asyncio.Task[Outcome]) -> None:
    """Stop watching; the hypervisors finish by themselves."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@contextlib.contextmanager
def _requests(supervisor: Supervisor, complain: Callable[[PostcopyError], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def on_signal(request: Callable[[], None]) -> None:
        try:
            request()
        except PostcopyError as error:
            complain(error)

    loop.add_signal_handler(CANCEL_SIGNAL, on_signal, supervisor.ask_to_cancel)
    loop.add_signal_handler(SWITCH_SIGNAL, on_signal, supervisor.ask_to_switch)
    try:
        yield
    finally:
        loop.remove_signal_handler(CANCEL_SIGNAL)
        loop.remove_signal_handler(SWITCH_SIGNAL)
