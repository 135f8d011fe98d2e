"""How a guest dirties its memory, asked of its QEMU by page sampling.

Sampling reads some pages of each GiB twice and compares; it neither write-protects nor slows
anything. The other modes of ``calc-dirty-rate`` are left alone: they switch dirty logging on, and
``dirty-bitmap`` kills or misreads emulated guests (`postcopy.known_issues`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from postcopy import pids
from postcopy.clock import Clock, SystemClock
from postcopy.errors import RefusedError, UnavailableError
from postcopy.forecast.inputs import Known
from postcopy.plan.measured import WINDOWS, WINDOWS_WHOLE, Measured, look
from postcopy.plan.methods import Offers
from postcopy.qemu.monitor import CommandError, Monitor, connected
from postcopy.qemu.status import phase_of

__all__ = ["measure"]

_GIB, _MIB = 1 << 30, 1 << 20
# 'sample-pages' of qapi/migration.json, for each GiB; fewer of a large guest, whose pages take
# time to read and are many enough.
_SAMPLES_LEAST, _SAMPLES_MOST, _SAMPLES_IN_ALL = 128, 8192, 131_072
# Memory that is there may be zeros all the same.
_RESIDENT_FACTOR = 1.06
_ANSWER_SECONDS, _LOOK_SECONDS = 10.0, 0.05
# A guest whose resident memory nobody can tell: somewhere from half of it to all of it.
_CONTENT_SHARE, _CONTENT_FACTOR = 0.75, 1.35


async def measure(
    path: Path,
    name: str,
    progress: Callable[[str], None] = lambda text: None,
    *,
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
        resident = pids.resident_bytes(pid, memory) if pid is not None else None
        samples = int(_SAMPLES_IN_ALL * _GIB / memory)
        samples = max(_SAMPLES_LEAST, min(_SAMPLES_MOST, samples))
        windows = WINDOWS if await _takes_milliseconds(monitor) else WINDOWS_WHOLE

        async def once(seconds: float) -> float:
            return await _once(monitor, name, seconds, samples, clock, fine=windows is WINDOWS)

        seen = await look(name, windows, once, progress)
        offers = await _offers(monitor)
    content = (
        Known(float(min(resident, memory)), _RESIDENT_FACTOR)
        if resident is not None
        else Known(_CONTENT_SHARE * memory, _CONTENT_FACTOR)
    )
    notes = () if resident is not None else ("how much of its memory is in use is not known",)
    return Measured(
        memory_bytes=memory,
        content=content,
        seen=seen,
        # The rate comes in whole MiB a second; a sample stands for as much as it is one of.
        resolution_bytes=max(_MIB * min(windows), _GIB / samples),
        offers=offers,
        notes=notes,
    )


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


async def _takes_milliseconds(monitor: Monitor) -> bool:
    """Whether this QEMU measures for less than a second (since 8.2)."""
    answer = await monitor.execute("query-dirty-rate")
    return "calc-time-unit" in answer


async def _once(
    monitor: Monitor, name: str, seconds: float, samples: int, clock: Clock, *, fine: bool
) -> float:
    arguments: dict[str, object] = {
        "calc-time": round(seconds * 1000) if fine else round(seconds),
        "mode": "page-sampling",
        "sample-pages": samples,
    }
    if fine:
        arguments["calc-time-unit"] = "millisecond"
    await monitor.execute("calc-dirty-rate", arguments)
    await clock.sleep(seconds)
    deadline = clock.now() + _ANSWER_SECONDS
    while clock.now() < deadline:
        answer: dict[str, Any] = await monitor.execute("query-dirty-rate")
        if answer["status"] == "measured":
            return float(answer["dirty-rate"] * _MIB * seconds)
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
