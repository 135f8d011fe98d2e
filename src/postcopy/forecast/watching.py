"""Looks at a guest while it is migrated: how long they are; what they see of a simulated one."""

from postcopy.forecast.model import Guest
from postcopy.migration.sample import Look

__all__ = ["LONGEST_SECONDS", "LOOKS_A_PASS", "SHORTEST_SECONDS", "Watching", "next_look"]

SHORTEST_SECONDS, LONGEST_SECONDS = 0.25, 60.0
LOOKS_A_PASS = 32
"""Enough to see when the guest rests, and few enough not to burden its host."""


def next_look(pass_seconds: float, before: float) -> float:
    """Return for how long to look next.

    Each look is up to twice as long as the one before: short ones show how fast the guest writes,
    long ones where its working set ends. None is longer than a part of the pass, or it would not
    be seen when the guest rests.

    :param pass_seconds: how long the pass under way takes, all in all.
    :param before: how long the last look was; 0 for the first.
    """
    most = min(LONGEST_SECONDS, pass_seconds / LOOKS_A_PASS)
    return max(SHORTEST_SECONDS, min(2 * before, most))


class Watching:
    """Whoever looks at a simulated guest, one look after the other."""

    def __init__(self, guest: Guest, began: float) -> None:
        self._guest = guest
        self._at = began
        self._seconds = 0.0

    def until(self, now: float, pass_seconds: float) -> tuple[Look, ...]:
        """Return the looks that have ended since the last time."""
        found: list[Look] = []
        even = self._guest.bursts is None
        while True:
            seconds = next_look(pass_seconds, self._seconds)
            if even and found and seconds <= self._seconds:
                self._at = now  # it would see the same again
                break
            if self._at + seconds > now:
                break
            end = self._at + seconds
            active = self._guest.active_seconds(self._at, end)
            found.append(Look(end, seconds, self._guest.dirty(active)))
            self._at, self._seconds = end, seconds
        return tuple(found)
