"""The commands that supervise one migration: the first one, and those that take its place."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from postcopy import processes
from postcopy.bench.faults.evidence import Command
from postcopy.bench.faults.floor import Mend, Subject
from postcopy.errors import NotFoundError

__all__ = ["Commands"]

_HANDS = 2
"""How often a command that gave up is followed by another, as by somebody who looks at it."""


_LOOK_SECONDS = 1.0


class Commands:
    """Runs ``postcopy migrate`` and whatever follows it, with a journal of their own.

    :param directory: where the journal and what they say is kept.
    :param hear: called with each line that they say.
    """

    def __init__(self, subject: Subject, directory: Path, hear: Callable[[str], None]) -> None:
        self._subject = subject
        self._directory = directory
        self._hear = hear
        self._current: processes.Running | None = None
        self._replaced = asyncio.Event()
        self.done: list[Command] = []
        """All of them, in order."""

    async def follow(self, settled: Callable[[], Awaitable[bool]]) -> None:
        """Begin the migration, and return when the guest is where it can stay, or nobody helps.

        :param settled: whether the guest is there.
        """
        await self._start(self._subject.migrate())
        hands = 0
        while True:
            assert self._current is not None
            code = await self._current.wait()
            self.done[-1] = replace(self.done[-1], exit_code=code)
            attach = self._subject.attach()
            if attach is None:
                while not await settled():  # noqa: ASYNC110 - it may end by itself, unannounced
                    await asyncio.sleep(_LOOK_SECONDS)
                return
            if self.done[-1].killed:
                await self._replaced.wait()
            elif code == 0 or hands == _HANDS or await settled():
                return
            else:
                hands += 1
                await self._start(attach, by_hand=True)

    async def kill(self) -> Mend:
        """Kill the one that runs, and return what has another one take its place.

        :raises NotFoundError: when none runs.
        """
        if self._current is None or not self._current.running:
            raise NotFoundError("the command had ended already", hint="")
        self._replaced.clear()
        self.done[-1] = replace(self.done[-1], killed=True)
        await self._current.kill()

        async def again() -> None:
            if (attach := self._subject.attach()) is not None:
                await self._start(attach)
                self._replaced.set()

        return again

    async def end(self) -> None:
        """Leave none behind."""
        if self._current is not None and self._current.running:
            await self._current.kill()

    async def _start(self, command: list[str], *, by_hand: bool = False) -> None:
        log = self._directory / f"command-{len(self.done) + 1}.log"
        self._current = await processes.start(
            *command,
            log=log,
            on_line=self._hear,
            env={**os.environ, "POSTCOPY_STATE_DIR": str(self._directory)},
        )
        self.done.append(Command(tuple(command), time.time(), by_hand=by_hand))
