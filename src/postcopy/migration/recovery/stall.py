"""Notices a post-copy that stands still, and tells a dead link from a slow one."""

from postcopy.migration.phase import Phase
from postcopy.migration.recovery.seam import Connection, Wire
from postcopy.migration.sample import Sample
from postcopy.units import format_bytes, format_seconds

__all__ = ["StallWatch", "conclude"]

_STALL_SECONDS = 1.0
_ASK_AGAIN_SECONDS = 0.5

# TCP sends again after 0.2 s at least, and later on a slow link, then doubles (RFC 6298,
# TCP_RTO_MIN). A link that has left two tries unanswered is dead; one try may be late, behind a
# queue that has just become slow.
_SILENT_SECONDS = 0.8
_RETRANSMISSIONS = 2

# Who does not answer a knock for that long, where the kernel knows nothing of the connection.
_KNOCK_SECONDS = 0.6

# Without a look at the connection, a full buffer over a slow link cannot be told from a dead one.
_UNSEEN_SECONDS = 6.0


class StallWatch:
    """Follows the samples of a post-copy.

    A source that has memory left sends it without being asked, so that nothing sent for a second
    is a stall, whatever the destination asks for.
    """

    def __init__(self) -> None:
        self._figures = (-1, -1)
        self._since = 0.0
        self._ask_at = 0.0
        self._patience = _UNSEEN_SECONDS

    def restart(self) -> None:
        """Forget what was seen: the migration goes on after a recovery."""
        self._figures = (-1, -1)

    async def judge(self, sample: Sample, wire: Wire | None) -> str:
        """Return why the connection must be dead, in one line; empty while it need not be."""
        if sample.phase is not Phase.POSTCOPY:
            self.restart()
            return ""
        figures = (sample.transferred_bytes, sample.remaining_bytes)
        if figures != self._figures:
            self._figures, self._since = figures, sample.at
            return ""
        stalled = sample.at - self._since
        if stalled < _STALL_SECONDS or sample.at < self._ask_at:
            return ""
        self._ask_at = sample.at + _ASK_AGAIN_SECONDS
        connection = await wire.connection() if wire is not None else None
        dead, why = conclude(connection)
        seen = (
            f"nothing sent for {format_seconds(stalled)},"
            f" {format_bytes(sample.remaining_bytes)} left,"
            f" {sample.requests} pages asked for by name"
        )
        if dead is None and wire is not None and await wire.wait(_KNOCK_SECONDS) is False:
            # A link that is down at the source's own end takes nothing to be sent.
            return f"{seen}; nothing is on its way, and nobody answers at the other end"
        if dead is None and stalled >= self._patience:
            # Were it a slow link, this would be a mistake that costs time: make it more rarely.
            self._patience *= 2
            dead = True
        return f"{seen}; {why}" if dead else ""


def conclude(connection: Connection | None) -> tuple[bool | None, str]:
    """Say whether the connections are dead (None: it cannot be told), and why, in words."""
    if connection is None:
        return None, "the connection cannot be looked at, and is taken for dead"
    if connection.count == 0:
        return True, "the source's connection is gone"
    again = connection.retransmissions
    silent = connection.silent_seconds >= _SILENT_SECONDS and again >= _RETRANSMISSIONS
    if connection.unacknowledged_bytes and silent:
        return True, (
            f"{format_bytes(connection.unacknowledged_bytes)} unacknowledged for"
            f" {format_seconds(connection.silent_seconds)}, sent again {again} times without an"
            " answer: the link is dead, not slow"
        )
    if connection.unacknowledged_bytes:
        return False, "the other side confirms what it gets: the link is slow, not dead"
    return None, "nothing is on its way, and nothing comes: taken for dead"
