"""What signals do to a command that runs for long."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Collection, Iterator

__all__ = ["ENDING", "ended_by_sigterm", "handled"]

ENDING = (signal.SIGTERM, signal.SIGINT)
"""How people and services ask a command to end."""


@contextlib.contextmanager
def handled(numbers: Collection[signal.Signals], act: Callable[[], object]) -> Iterator[None]:
    """Have these signals do that while the block runs, in its loop."""
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, act)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Have SIGTERM do what Ctrl-C does: end the command, which cleans up behind itself.

    :raises KeyboardInterrupt: in place of the task's cancellation, when it came.
    """
    task = asyncio.current_task()
    told = False

    def end() -> None:
        nonlocal told
        if task is not None and not told:
            told = True
            task.cancel()

    try:
        with handled((signal.SIGTERM,), end):
            yield
    except asyncio.CancelledError:
        if told:
            raise KeyboardInterrupt from None
        raise
