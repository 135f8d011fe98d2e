"""What signals do to a command that runs for long."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator

__all__ = ["ended_by_sigterm", "stops"]


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Have SIGTERM do what Ctrl-C does: end the command, which cleans up behind itself.

    :raises KeyboardInterrupt: in place of the task's cancellation, when it came.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    told = False

    def end() -> None:
        nonlocal told
        if task is not None and not told:
            told = True
            task.cancel()

    loop.add_signal_handler(signal.SIGTERM, end)
    try:
        yield
    except asyncio.CancelledError:
        if told:
            raise KeyboardInterrupt from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


@contextlib.contextmanager
def stops(task: "asyncio.Task[None]") -> Iterator[None]:
    """Have SIGTERM and Ctrl-C end another task while the block runs, and nothing but that."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
