"""Does the faults of one run, each when it is due, and mends them."""

import asyncio
import time

from postcopy.bench.faults.commands import Commands
from postcopy.bench.faults.cues import Cues
from postcopy.bench.faults.evidence import Mark
from postcopy.bench.faults.floor import Mend, Subject
from postcopy.bench.faults.link import LinkFaults
from postcopy.bench.faults.model import LINK_KINDS, Fault, Kind, Moment
from postcopy.errors import PostcopyError

__all__ = ["Breaker"]


class Breaker:
    """Breaks what the faults say.

    :ivar marks: what was done so far, a mark for each fault.
    """

    def __init__(
        self,
        faults: tuple[Fault, ...],
        cues: Cues,
        link: LinkFaults,
        commands: Commands,
        subject: Subject,
    ) -> None:
        self.marks = [Mark(fault) for fault in faults]
        self._cues = cues
        self._link = link
        self._commands = commands
        self._subject = subject
        self._mending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Do them in order. Each is mended by itself in time, while the next one may strike."""
        last = 0.0
        for number, mark in enumerate(self.marks):
            fault = mark.fault
            follows = fault.moment in (Moment.RECOVERY, Moment.AGAIN)
            cue = await self._cues.wait(fault.moment, last if follows else 0.0)
            await asyncio.sleep(max(0.0, cue + fault.after - time.time()))
            try:
                last = await self._strike(number, fault)
            except PostcopyError as error:
                self.marks[number] = Mark(fault, note=error.message)

    async def mend(self) -> None:
        """Mend at once whatever is still broken."""
        tasks = list(self._mending)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _strike(self, number: int, fault: Fault) -> float:
        if fault.kind in LINK_KINDS:
            await self._link.free()
        at = time.time()
        mend = await self._do(fault)
        self.marks[number] = Mark(fault, at)
        task = asyncio.create_task(self._mend_later(number, fault, at, mend))
        self._mending.add(task)
        task.add_done_callback(self._mending.discard)
        return at

    async def _do(self, fault: Fault) -> Mend:
        if fault.kind is Kind.CLIENT:
            return await self._commands.kill()
        if fault.kind in LINK_KINDS:
            return await self._link.strike(fault)
        return await self._subject.strike(fault)

    async def _mend_later(self, number: int, fault: Fault, at: float, mend: Mend) -> None:
        try:
            await asyncio.sleep(max(0.0, at + fault.seconds - time.time()))
        finally:
            await asyncio.shield(mend())
            self.marks[number] = Mark(fault, at, time.time() if fault.seconds else at)
