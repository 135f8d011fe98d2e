"""One migration from end to end, in the world around it.

`carry_out` is what commands call: it supervises, answers interrupts and the requests of other
processes, and settles what is left over at the end, whatever happened.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from postcopy.errors import PostcopyError, RefusedError
from postcopy.migration.decision import Policy
from postcopy.migration.driver import Driver
from postcopy.migration.event import Event
from postcopy.migration.journal import Journal, Run
from postcopy.migration.outcome import Outcome
from postcopy.migration.supervisor import Supervisor

__all__ = ["CANCEL_SIGNAL", "SWITCH_SIGNAL", "Move", "carry_out", "hold_requests"]

CANCEL_SIGNAL = signal.SIGUSR1
"""Sent to a supervising process by one that wants the migration called off."""
SWITCH_SIGNAL = signal.SIGUSR2
"""Sent to a supervising process by one that wants post-copy now."""


class Move(Protocol):
    """A migration that is ready to be driven: both ends are there."""

    @property
    def source(self) -> str:
        """The name of the host that the guest leaves."""
        ...

    @property
    def destination(self) -> str:
        """The name of the host that it goes to."""
        ...

    @property
    def driver(self) -> Driver:
        """What moves it."""
        ...

    def record(self) -> dict[str, Any]:
        """Return what a later process needs to make this move again, as plain JSON values."""
        ...

    async def settle(self) -> None:
        """Let go of everything, and end what is surely no longer needed."""
        ...


async def carry_out(
    move: Move,
    policy: Policy,
    journal: Journal,
    run: Run,
    *,
    downtime_limit: float = 0.3,
    looks: Sequence[tuple[float, float]] = (),
    recover: bool = True,
    recover_seconds: float | None = None,
    attach: bool = False,
    request: Callable[[Supervisor], None] | None = None,
    observe: Callable[[Event], None] = lambda event: None,
    complain: Callable[[PostcopyError], None] = lambda error: None,
) -> Outcome:
    """Drive a migration, or attach to it, until its end.

    :param run: the journal's entry for it.
    :param downtime_limit: how long the guest may stand still at a pre-copy switchover, in seconds.
    :param looks: what was measured of the guest before: seconds, and bytes dirtied in them.
    :param recover: whether to recover a post-copy whose connection broke.
    :param recover_seconds: for how long to try, each time; None for ever.
    :param request: what to ask of the supervisor before it begins.
    :param complain: told of a request by signal that could not be met.
    :raises asyncio.CancelledError: when interrupted. While that is safe the migration is called
        off and the guest stays where it is; from post-copy on it is left to go on by itself.
    """
    supervisor = Supervisor(
        move.driver,
        policy,
        downtime_limit=downtime_limit,
        looks=looks,
        recover=recover,
        recover_seconds=recover_seconds,
        journal=journal,
        run_id=run.id,
        observe=observe,
    )
    if request is not None:
        request(supervisor)
    try:
        return await _conduct(supervisor, attach, complain)
    finally:
        # Also on an interrupt: a destination that waits in vain must not be left behind.
        await asyncio.shield(move.settle())


async def _conduct(
    supervisor: Supervisor, attach: bool, complain: Callable[[PostcopyError], None]
) -> Outcome:
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
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, {CANCEL_SIGNAL, SWITCH_SIGNAL})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        loop.remove_signal_handler(CANCEL_SIGNAL)
        loop.remove_signal_handler(SWITCH_SIGNAL)


def hold_requests() -> None:
    """Let requests wait until `carry_out` can answer them; unheard, they would end this process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {CANCEL_SIGNAL, SWITCH_SIGNAL})
