"""A load that runs beside: `start` fills the server and returns once it is kept busy."""

import asyncio
import contextlib
import sys
from pathlib import Path

from postcopy import processes
from postcopy.bench.load import generator
from postcopy.bench.load.answers import Answers
from postcopy.bench.load.protocols import CLIENTS
from postcopy.errors import UnavailableError
from postcopy.lab.services.service import Service

__all__ = ["Load"]

_CLIENTS = 4
_READY_SECONDS = 180.0
# What the generator has noted, it writes within this.
_WRITTEN_SECONDS = 0.2
# An emulated server is asked for some ten thousand rows a second.
_CHECK_SECONDS = 60.0


class Load:
    """One server's users. Make it with `start`."""

    def __init__(
        self, task: "asyncio.Task[None]", service: Service, address: str, size: int, log: Path
    ) -> None:
        self._task = task
        self._service = service
        self._address = address
        self._size = size
        self._log = log

    @classmethod
    async def start(cls, service: Service, address: str, size: int, log: Path) -> "Load":
        """Fill a server with `size` bytes, and keep it busy from then on.

        :param log: where to note each request; made anew.
        :raises UnavailableError: when the server does not answer.
        """
        ready = asyncio.Event()

        def heard(line: str) -> None:
            if line == generator.READY:
                ready.set()

        command = (sys.executable, "-m", generator.__name__, service.name, address)
        rest = (str(service.port), str(size), str(_CLIENTS), str(log))
        task = asyncio.create_task(processes.stream(*command, *rest, on_line=heard))
        waiting = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait(
                (task, waiting), timeout=_READY_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if ready.is_set():
                return cls(task, service, address, size, log)
            if task.done():
                await task
            raise UnavailableError(
                f"{service.name} at {address} is not filled after {_READY_SECONDS:.0f} s",
                hint="is the machine busy? a guest that is emulated needs a processor",
            )
        except BaseException:
            await _end(task)
            raise
        finally:
            waiting.cancel()

    async def answers(self) -> Answers:
        """Return all that was noted so far."""
        await asyncio.sleep(_WRITTEN_SECONDS)
        return Answers.read(self._log)

    async def lost(self, answers: Answers) -> int:
        """Read back every write that was acknowledged, and return of how many rows one is missing.

        :param answers: what was noted so far; the users go on meanwhile.
        :raises UnavailableError: when the server does not say.
        """
        client = CLIENTS[self._service.name](self._size, number=0, users=1)
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await client.open(self._address, self._service.port)
                with contextlib.closing(client):
                    held = await client.held(answers.acknowledged)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise UnavailableError(
                f"{self._service.name} at {self._address} cannot be read back:"
                f" {str(error) or type(error).__name__}",
                hint="it answered before: look at what became of the guest",
            ) from error
        return sum(held[row] < times for row, times in answers.acknowledged.items())

    async def stop(self) -> None:
        """End it."""
        await _end(self._task)


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, UnavailableError):
        await task
