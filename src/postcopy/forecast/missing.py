"""What a guest goes without after a switch, and what that costs it until all has come."""

from typing import NamedTuple

from postcopy.forecast.model import Harm

__all__ = ["Missing"]


class Missing(NamedTuple):
    """What a guest goes without after a switch.

    :param freeze_seconds: its longest freeze.
    :param waits: how many seconds it would wait, at first, for each second of its own.
    :param few: the same of each small set of pages that is missing, and how long it waits for them
        at most: for each of them once.
    :param swept: the share of its sweep that is missing, and the sweep's rate in bytes a second.
    """

    freeze_seconds: float
    waits: float
    few: tuple[tuple[float, float], ...] = ()
    swept: tuple[float, float] = (0.0, 0.0)

    def lost(self, harm: Harm, seconds: float, bandwidth: float) -> float:
        """Return what a guest that works all the time loses until all has come.

        In guest-seconds.

        :param seconds: how long that takes.
        """
        share, rate = self.swept
        slowed = harm.lost(seconds, self.waits) + share * harm.stalled(seconds, rate, bandwidth)
        for waits, most in self.few:
            slowed += min(most, harm.lost(seconds, waits))
        slowed = min(seconds + harm.settle_seconds, harm.slowing * slowed)
        return max(self.freeze_seconds, harm.stop_seconds + slowed)
