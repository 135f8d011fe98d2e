"""How a guest dirties its memory, asked of its QEMU by page sampling.

Sampling reads some pages of each GiB twice and compares; it neither write-protects nor slows
anything. The other modes of ``calc-dirty-rate`` are left alone: they switch dirty logging on, and
``dirty-bitmap`` kills or misreads emulated guests (`postcopy.known_issues`).
"""

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from postcopy import pids
from postcopy.clock import Clock, SystemClock
from postcopy.errors import RefusedError, UnavailableError
from postcopy.forecast.curve import Observation
from postcopy.forecast.inputs import Known
from postcopy.kernel import content
from postcopy.plan.measured import WATCH_SECONDS, Measured, look, sampled, windows
from postcopy.plan.methods import Offers
from postcopy.qemu.monitor import CommandError, Monitor, connected
from postcopy.qemu.sampling import GIB, begin_sampling, samples_a_gib, takes_milliseconds
from postcopy.qemu.status import phase_of

__all__ = ["measure"]

_MIB = 1 << 20
# Memory that is there may be zeros all the same.
_RESIDENT_SHARE, _RESIDENT_FACTOR = 0.95, 1.1
# What a sample of the memory's content is wrong by, besides by chance: the guest goes on writing.
_CONTENT_ERROR = 0.005
_NINETY = 1.645
_ANSWER_SECONDS, _LOOK_SECONDS = 10.0, 0.02
# A guest whose resident memory nobody can tell: somewhere from half of it to all of it.
_CONTENT_SHARE, _CONTENT_FACTOR = 0.75, 1.35


async def measure(
    path: Path,
    name: str,
    progress: Callable[[str], None] = lambda text: None,
    *,
    watch_seconds: float = WATCH_SECONDS,
    clock: Clock | None = None,
) -> Measured:
    """Measure the guest behind a QMP socket.

    :raises RefusedError: when it does not run, or is on the move.
    :raises UnavailableError: when its QEMU does not answer.
    """
    clock = clock or SystemClock()
    pid = pids.listener_of(path)
    async with connected(path, name) as monitor:
        await _guard(monitor, name)
        size = await monitor.execute("query-memory-size-summary")
        memory = size["base-memory"] + size.get("plugged-memory", 0)
        samples = samples_a_gib(memory)
        fine = await takes_milliseconds(monitor)
        lengths = windows(watch_seconds, whole=not fine)

        async def once(seconds: float) -> Observation:
            return await _once(monitor, name, seconds, samples, clock, fine=fine)

        seen = await look(name, lengths, once, progress, clock, watch_seconds)
        offers = await _offers(monitor)
    held, compressed, notes = await asyncio.to_thread(_content, pid, memory)
    return Measured(
        memory_bytes=memory,
        content=held,
        compressed=compressed,
        seen=seen,
        # The rate comes in whole MiB a second; a sample stands for as much as it is one of.
        resolution_bytes=max(_MIB * min(lengths), GIB / samples),
        offers=offers,
        notes=notes,
    )


def _content(pid: int | None, memory: int) -> tuple[Known, float | None, tuple[str, ...]]:
    """Return how much memory holds anything, how far that can be compressed, and what to say."""
    found = content.sample(pid, memory) if pid is not None else None
    if found is not None and found.share > 0:
        error = math.hypot(found.error / found.share, _CONTENT_ERROR)
        return Known(found.share * memory, math.exp(_NINETY * error)), found.compressed, ()
    resident = pids.resident_bytes(pid, memory) if pid is not None else None
    if resident is not None:
        held = _RESIDENT_SHARE * min(resident, memory)
        return Known(held, _RESIDENT_FACTOR), None, ()
    unknown = "how much of its memory is in use is not known"
    return Known(_CONTENT_SHARE * memory, _CONTENT_FACTOR), None, (unknown,)


async def _guard(monitor: Monitor, name: str) -> None:
    state = (await monitor.execute("query-status"))["status"]
    if state != "running":
        raise RefusedError(
            f"guest {name!r} is {state}, not running", hint="a stopped guest dirties nothing"
        )
    status = (await monitor.execute("query-migrate")).get("status", "none")
    if status != "none" and not phase_of(status).terminal:
        raise RefusedError(
            f"guest {name!r} is being migrated ({status})",
            hint=f"follow it: postcopy attach {name}",
        )


async def _once(
    monitor: Monitor, name: str, seconds: float, samples: int, clock: Clock, *, fine: bool
) -> Observation:
    await begin_sampling(monitor, seconds, samples, fine=fine)
    await clock.sleep(seconds)
    deadline = clock.now() + _ANSWER_SECONDS
    while clock.now() < deadline:
        answer: dict[str, Any] = await monitor.execute("query-dirty-rate")
        if answer["status"] == "measured":
            return sampled(seconds, answer["dirty-rate"], GIB / samples)
        await clock.sleep(_LOOK_SECONDS)
    raise UnavailableError(
        f"QEMU on {name} has not measured the dirty rate in {_ANSWER_SECONDS:.0f} s",
        hint="is its host overloaded? try again",
    )


async def _offers(monitor: Monitor) -> Offers:
    try:
        answer = await monitor.execute("query-migrate-capabilities")
    except CommandError:
        return Offers()
    known = {each["capability"] for each in answer}
    return Offers(
        postcopy="postcopy-ram" in known,
        preempt="postcopy-preempt" in known,
        multifd="multifd" in known,
    )
