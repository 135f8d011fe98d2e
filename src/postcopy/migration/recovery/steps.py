"""What to do next: a pure function of what both sides say."""

import enum
from collections.abc import Set as AbstractSet

from postcopy.migration.recovery.seam import Half, Look

__all__ = ["Step", "next_step"]


class Step(enum.StrEnum):
    """One step of a recovery."""

    BREAK_OFF_BOTH = "break off both sides"
    BREAK_OFF_SOURCE = "break off the source"
    BREAK_OFF_DESTINATION = "break off the destination"
    CONNECT = "connect"
    WAIT = "wait"
    """Nothing can be done now; look again."""
    GO_ON = "go on"
    """The migration goes on, or has ended: nothing is to be recovered."""
    ARRIVED = "arrived"
    """The destination has all of the memory, and the source did not hear of it."""
    LOST = "lost"


_BREAK_OFF = {
    (True, True): Step.BREAK_OFF_BOTH,
    (True, False): Step.BREAK_OFF_SOURCE,
    (False, True): Step.BREAK_OFF_DESTINATION,
}


def next_step(look: Look, *, cut: bool, broken: AbstractSet[str] = frozenset()) -> Step:
    """Return what comes next.

    :param cut: whether the connection is known to be dead although the source may not know it.
    :param broken: which of ``source`` and ``destination`` took a wish to break off. A side that
        hangs cannot say that it has paused since.
    """
    source, destination = look.source, look.destination
    if source is Half.DONE:
        return Step.GO_ON
    if destination is Half.DONE:
        # A source that goes on is about to hear of it, and to end in the ordinary way.
        return Step.GO_ON if source is Half.ACTIVE and not cut else Step.ARRIVED
    if Half.GONE in (source, destination):
        return Step.LOST
    if source is Half.ACTIVE and destination is Half.PAUSED:
        # The destination has seen the connection break, and the source may never hear of that.
        return Step.BREAK_OFF_SOURCE
    if source is Half.ACTIVE and not cut:
        return Step.GO_ON
    unclear = (Half.SILENT, Half.UNKNOWN)
    if source in unclear:
        return Step.WAIT
    if destination in unclear:
        # Nobody could connect it again: while the source has not given up, it may heal by itself.
        return Step.GO_ON if source is Half.ACTIVE else Step.WAIT
    if Half.CONNECTING in (source, destination) and not cut:
        return Step.WAIT
    wanted = (_to_be_broken(source, "source", broken),
              _to_be_broken(destination, "destination", broken))  # fmt: skip
    return _BREAK_OFF.get(wanted, Step.CONNECT)


def _to_be_broken(half: Half, name: str, broken: AbstractSet[str]) -> bool:
    if half is Half.HUNG:
        return name not in broken
    return half in (Half.ACTIVE, Half.CONNECTING)
