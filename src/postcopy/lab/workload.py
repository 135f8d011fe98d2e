"""What a lab guest does with its memory."""

import re
from dataclasses import dataclass

from postcopy.errors import UsageError
from postcopy.forecast.model import Bursts

__all__ = ["Workload"]

_MOST_MIB = 1 << 20
_HIGHEST_RATE = 10_000_000
_LONGEST_PERIOD_MS = 60_000
_MOST_WRITERS = 64
_BURSTS = re.compile(r"bursts:([0-9]{1,9}):([0-9]{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Workload:
    """Memory that is written once, memory that is rewritten for ever, and how fast.

    :ivar cold_mib: MiB that are filled once and never written again.
    :ivar hot_mib: MiB whose pages are rewritten.
    :ivar rate: pages of 4 KiB rewritten a second; 0 is as fast as the guest can.
    :ivar pattern: ``random``, ``sequential``, or ``bursts:<duty percent>:<period ms>``, which
        writes at random for that part of each period and rests for the other; or ``reads``, which
        writes nothing and reads all memory at random, the cold as well.
    :ivar seed: what the content of the pages follows from.
    :ivar writers: threads that share the work, so that several vCPUs have some.
    :raises UsageError: when one of them makes no sense.
    """

    cold_mib: int
    hot_mib: int
    rate: int = 0
    pattern: str = "random"
    seed: int = 1
    writers: int = 1

    def __post_init__(self) -> None:
        # The same limits as witness.c: a guest that does not accept its command line halts.
        _check("cold memory", "MiB", self.cold_mib, _MOST_MIB)
        _check("hot memory", "MiB", self.hot_mib, _MOST_MIB)
        _check("the write rate", "pages a second", self.rate, _HIGHEST_RATE)
        _check("the seed", "", self.seed, 2**64 - 1)
        if not 1 <= self.writers <= _MOST_WRITERS:
            raise UsageError(
                f"{self.writers} writers make no sense", hint=f"from 1 to {_MOST_WRITERS}"
            )
        if self.pattern in ("random", "sequential", "reads"):
            return
        burst = _BURSTS.fullmatch(self.pattern)
        if (
            burst is None
            or not 1 <= int(burst[1]) <= 100
            or not 1 <= int(burst[2]) <= _LONGEST_PERIOD_MS
        ):
            raise UsageError(
                f"{self.pattern!r} is not a pattern of writing",
                hint="use random, sequential, reads or"
                " bursts:<duty, 1 to 100 percent>:<period, ms>, such as bursts:30:500",
            )

    @property
    def bursts(self) -> Bursts | None:
        """When it works; None of a guest that always does."""
        burst = _BURSTS.fullmatch(self.pattern)
        return Bursts(int(burst[1]) / 100, int(burst[2]) / 1000) if burst else None

    @property
    def memory_mib(self) -> int:
        """The RAM that a guest needs for this, in MiB.

        Debian's cloud kernels 6.1 and 6.12 keep 60 to 70 MiB and about 3 % of the RAM for
        themselves (measured from 96 MiB to 4 GiB); the rest is room against the OOM killer.
        """
        pages = self.cold_mib + self.hot_mib
        shadow = self.hot_mib / 1024
        return _round_up(112 + (pages + shadow) * 1.04, 16)


def _check(what: str, unit: str, value: int, most: int) -> None:
    if not 0 <= value <= most:
        raise UsageError(
            f"{what} of {' '.join(filter(None, (str(value), unit)))} makes no sense",
            hint=f"from 0 to {most} is possible",
        )


def _round_up(value: float, step: int) -> int:
    return -int(-value // step) * step
