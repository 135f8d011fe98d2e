"""What a floor has measured of a guest, without harming it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from postcopy.errors import PostcopyError, UnavailableError
from postcopy.forecast.curve import Observation
from postcopy.forecast.inputs import Known
from postcopy.plan.methods import Offers

__all__ = ["WINDOWS", "WINDOWS_WHOLE", "Measured", "look"]

WINDOWS = (0.5, 0.5, 0.5, 1.0, 0.5, 2.0)
"""For how long the guest is looked at, one after the other: short ones to see it rest, long ones to
see its working set end. Five seconds in all."""
WINDOWS_WHOLE = (1.0, 1.0, 1.0, 2.0)
"""The same where a look takes whole seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A guest as it was found.

    :param content: the memory that is not zeros, in bytes.
    :param seen: how much it dirtied in how long.
    :param resolution_bytes: the least that could be seen.
    """

    memory_bytes: int
    content: Known
    seen: tuple[Observation, ...]
    resolution_bytes: float
    offers: Offers = field(default_factory=Offers)
    notes: tuple[str, ...] = ()


async def look(
    name: str,
    windows: Sequence[float],
    once: Callable[[float], Awaitable[float]],
    progress: Callable[[str], None],
) -> tuple[Observation, ...]:
    """Look at a guest for each of the windows.

    :param once: looks for so many seconds, and returns the bytes dirtied in them.
    :raises UnavailableError: when the guest goes away meanwhile.
    """
    seen = []
    for number, seconds in enumerate(windows, start=1):
        progress(f"watching guest {name!r} dirty its memory: {number} of {len(windows)}")
        try:
            seen.append(Observation(seconds, await once(seconds)))
        except PostcopyError as error:
            raise UnavailableError(
                f"guest {name!r} could not be measured to the end: {error.message}",
                hint="does it still run? nothing was changed; try again, or give the figures:"
                " postcopy plan --help",
            ) from error
    return tuple(seen)
