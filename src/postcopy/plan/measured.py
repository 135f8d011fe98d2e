"""What a floor has measured of a guest, without harming it."""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from postcopy.clock import Clock
from postcopy.errors import PostcopyError, UnavailableError
from postcopy.forecast.curve import Observation
from postcopy.forecast.inputs import Known
from postcopy.plan.methods import Offers

__all__ = ["WATCH_SECONDS", "Measured", "look", "sampled", "windows"]

WATCH_SECONDS = 4.1
"""For how long a guest is watched if nothing else is said."""
_WINDOWS = (2.0, 0.5, 0.1, 0.5, 0.2, 0.5, 0.1, 0.2)
_WINDOWS_WHOLE = (2.0, 1.0, 1.0, 1.0)
_MOST_OVER_SECONDS = 1.4

_MIB = 1 << 20
# QEMU cuts its rate off to whole MiB a second: half a MiB more in the mean, give or take.
_CUT_OFF, _CUT_OFF_ERROR = 0.5, 0.29


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A guest as it was found.

    :param content: the memory that is not zeros, in bytes.
    :param compressed: to what part of their size its pages can be compressed; None if not known.
    :param seen: how much it dirtied in how long.
    :param resolution_bytes: the least that could be seen.
    """

    memory_bytes: int
    content: Known
    seen: tuple[Observation, ...]
    resolution_bytes: float
    offers: Offers = field(default_factory=Offers)
    notes: tuple[str, ...] = ()
    compressed: float | None = None


def windows(watch_seconds: float = WATCH_SECONDS, *, whole: bool = False) -> tuple[float, ...]:
    """Return for how long to look at a guest, one time after the other.

    A long look sees its working set end, short ones how fast it writes. Whoever watches for longer
    than by default looks often, to see the guest rest: rests as long as the watch are not seen.

    :param whole: whether a look takes whole seconds.
    """
    first = _WINDOWS_WHOLE if whole else _WINDOWS
    again = 1.0 if whole else 0.5
    return (*first, *(again,) * int((watch_seconds - sum(first)) / again + 1e-6))


async def look(
    name: str,
    lengths: Sequence[float],
    once: Callable[[float], Awaitable[Observation]],
    progress: Callable[[str], None],
    clock: Clock,
    within_seconds: float = WATCH_SECONDS,
) -> tuple[Observation, ...]:
    """Look at a guest for each of the windows for which there is time; the first is worth most.

    :param once: looks for so many seconds, and returns what it saw.
    :raises UnavailableError: when the guest goes away meanwhile.
    """
    seen: list[Observation] = []
    began, extra, most = clock.now(), 0.0, within_seconds + _MOST_OVER_SECONDS
    for number, seconds in enumerate(lengths, start=1):
        if seen and clock.now() - began + seconds + extra > most:
            continue
        at = clock.now()
        progress(f"watching guest {name!r} dirty its memory: {number} of {len(lengths)}")
        try:
            seen.append(await once(seconds))
        except PostcopyError as error:
            raise UnavailableError(
                f"guest {name!r} could not be measured to the end: {error.message}",
                hint="does it still run? nothing was changed; try again, or give the figures:"
                " postcopy plan --help",
            ) from error
        # Of a large guest, the samples of a look take their time to read.
        extra = max(extra, clock.now() - at - seconds)
    return tuple(seen)


def sampled(seconds: float, rate_mib: int, sample_bytes: float) -> Observation:
    """Return what a look by page sampling saw, and how well.

    :param rate_mib: as QEMU says it, in whole MiB a second.
    :param sample_bytes: the memory that one sample stands for.
    """
    if rate_mib <= 0:
        # Nothing at all, as far as this can tell.
        return Observation(seconds, 0.0, _CUT_OFF * _MIB * seconds)
    dirtied = (rate_mib + _CUT_OFF) * _MIB * seconds
    by_chance = math.sqrt(dirtied * sample_bytes)
    return Observation(seconds, dirtied, math.hypot(by_chance, _CUT_OFF_ERROR * _MIB * seconds))
