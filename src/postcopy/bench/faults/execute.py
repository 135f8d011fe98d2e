"""Does one run: boots its guest, has it moved, breaks things when they are due, and looks."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from postcopy.bench.faults.breaking import Breaker
from postcopy.bench.faults.commands import Commands
from postcopy.bench.faults.cues import Cues
from postcopy.bench.faults.evidence import Evidence, Memory
from postcopy.bench.faults.floor import DESTINATION, SOURCE, Floor, Sight, Subject
from postcopy.bench.faults.link import LinkFaults
from postcopy.bench.faults.model import Moment, RunPlan
from postcopy.errors import PostcopyError
from postcopy.lab.observer import memory_verdict
from postcopy.lab.records import Beat, Record

__all__ = ["Patience", "execute"]

_LAST_LINES = 12
_WRONG_PACE = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long things may take, in seconds.

    :ivar bound: a run besides its faults; a guest that is not where it can stay by then is stuck.
    :ivar arrival: the pages that arrive last come after the end.
    :ivar ending: what is left over after the last command has ended, until it ends, too.
    :ivar doubt: the same after a command that gave up, before another one is started.
    """

    bound: float = 120.0
    arrival: float = 0.5
    ending: float = 15.0
    doubt: float = 3.0


async def execute(
    floor: Floor, plan: RunPlan, directory: Path, patience: Patience | None = None
) -> Evidence:
    """Carry out a run, keep its journal and logs in a directory, and leave nothing else behind.

    Where something is left all the same, `Evidence.left` says so: the lab is to be made anew.
    """
    started_at = time.time()
    link = LinkFaults(floor.link(), plan.rate)
    try:
        await link.whole()
        subject = await floor.boot(plan)
    except PostcopyError as error:
        trouble = f"not begun: {error.message}"
        return Evidence(started_at=started_at, ended_at=time.time(), trouble=trouble)
    left = ""
    try:
        evidence = await _carry_out(subject, plan, link, directory, patience or Patience())
    finally:
        try:
            await asyncio.shield(_clean(subject, link, directory))
        except PostcopyError as error:
            left = error.message
    return replace(evidence, left=left)


async def _carry_out(
    subject: Subject, plan: RunPlan, link: LinkFaults, directory: Path, patience: Patience
) -> Evidence:
    started_at = time.time()
    cues = Cues()
    commands = Commands(subject, directory, cues.hear)
    breaker = Breaker(plan.faults, cues, link, commands, subject)

    async def settled() -> bool:
        return (await _look(subject, patience.doubt)).settled

    breaking = asyncio.create_task(breaker.run())
    telling = asyncio.create_task(subject.tell(cues.come))
    try:
        with contextlib.suppress(TimeoutError):  # then it is stuck, and looked at as it is
            async with asyncio.timeout(
                patience.bound + sum(fault.seconds for fault in plan.faults)
            ):
                await commands.follow(settled)
    finally:
        breaking.cancel()
        telling.cancel()
        await asyncio.gather(breaking, telling, return_exceptions=True)
        await asyncio.shield(breaker.mend())
        await asyncio.shield(commands.end())
    failure = None if breaking.cancelled() else breaking.exception()
    await asyncio.sleep(patience.arrival)
    trouble = f"a fault could not be done: {failure!r}" if failure is not None else ""
    sight = await _look(subject, patience.ending)
    ended_at = time.time()
    whole = len(sight.running) == 1 and sight.settled
    memory = await _verify(subject, started_at, ended_at) if whole else None
    if memory is not None and not memory.uptime_continuous:
        trouble = trouble or _clock_trouble(subject.heard(SOURCE))
    beats = [record.at for record in subject.heard(DESTINATION) if isinstance(record, Beat)]
    return Evidence(
        started_at=started_at,
        ended_at=ended_at,
        marks=tuple(breaker.marks),
        commands=tuple(commands.done),
        switched_at=cues.first(Moment.SWITCH),
        heard_at_destination=beats[0] if beats else None,
        sight=sight,
        memory=memory,
        words=_words(subject, directory),
        trouble=trouble,
    )


async def _look(subject: Subject, seconds: float) -> Sight:
    """Look until nothing is on the move any more, for so many seconds at most."""
    deadline = time.time() + seconds
    while True:
        sight = await subject.look()
        good = sight.settled and not sight.records and len(sight.running) == 1
        if good or time.time() > deadline:
            return sight
        await asyncio.sleep(0.3)


async def _verify(subject: Subject, started_at: float, ended_at: float) -> Memory | None:
    try:
        verdict = await subject.verify()
    except PostcopyError:
        return None
    observed = subject.observe(started_at, ended_at)
    found = memory_verdict(observed, verdict)
    return Memory(**found, uptime_continuous=observed.uptime_continuous)


def _clock_trouble(records: Sequence[Record]) -> str:
    """Say that the guest's clock has been wrong since its boot, if it has: then it proves nothing.

    Under emulation a kernel measures its clock by the machine's, and errs while that is busy.
    """
    beats = [record for record in records if isinstance(record, Beat)]
    passed = beats[-1].at - beats[0].at if beats else 0.0
    pace = (beats[-1].uptime_seconds - beats[0].uptime_seconds) / passed if passed else 1.0
    return f"the guest's clock runs {pace:.1f} times too fast" if pace > _WRONG_PACE else ""


def _words(subject: Subject, directory: Path) -> dict[str, tuple[str, ...]]:
    """Return the last that everybody said."""
    commands = {path.name: path for path in sorted(directory.glob("command-*.log"))}
    return {name: _tail(path) for name, path in {**subject.logs(), **commands}.items()}


def _tail(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return ()
    return tuple(line for line in text.splitlines() if line.strip())[-_LAST_LINES:]


async def _clean(subject: Subject, link: LinkFaults, directory: Path) -> None:
    for name, path in subject.logs().items():
        with contextlib.suppress(OSError):  # a QEMU that never was has no log
            shutil.copyfile(path, directory / name)
    await link.whole()
    await subject.remove()
