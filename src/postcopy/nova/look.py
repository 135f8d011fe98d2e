"""One look at a live migration: what Nova tells in its places, and what the hosts' libvirts say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from postcopy.migration.phase import Phase

__all__ = ["Answer", "Look", "Seen", "OVER"]

Answer = Mapping[str, Any]
"""An answer of Nova's API, with Nova's words."""

OVER = frozenset({"completed", "done", "failed", "error", "cancelled"})
"""Nova's words for a migration that nothing more happens to."""

_PAUSED = 3
_POWER = {0: "no state", 1: "running", 3: "paused", 4: "shut down", 6: "crashed", 7: "suspended"}


@dataclass(frozen=True, slots=True)
class Look:
    """What Nova tells in three places, none of which is enough (Nova 26 to 31).

    :ivar server: the server, which stays at the source until all is over; None when it is gone.
    :ivar migration: the migration in the list of all, which is behind at the end; None when it is
        not, or not yet, there.
    :ivar own: the migration among the server's own; None in post-copy and at the end.
    """

    server: Answer | None
    migration: Answer | None
    own: Answer | None

    @property
    def status(self) -> str:
        """Nova's word for the migration."""
        return str(self.migration.get("status", "")) if self.migration else ""

    @property
    def host(self) -> str:
        """Where Nova takes the server to be."""
        return str((self.server or {}).get("OS-EXT-SRV-ATTR:host") or "")

    @property
    def at_rest(self) -> bool:
        """Whether Nova does nothing with the server now."""
        return not (self.server or {}).get("OS-EXT-STS:task_state")

    @property
    def paused(self) -> bool:
        """Whether Nova knows the guest to stand still."""
        return (self.server or {}).get("OS-EXT-STS:power_state") == _PAUSED

    @property
    def power(self) -> str:
        """Nova's word for what the guest does."""
        state = (self.server or {}).get("OS-EXT-STS:power_state")
        return _POWER.get(state, "unknown") if isinstance(state, int) else "unknown"

    @property
    def fault(self) -> str:
        """What Nova says went wrong with the server."""
        return str(((self.server or {}).get("fault") or {}).get("message") or "")

    @property
    def destination(self) -> str:
        """Where the migration goes; empty while no host is chosen."""
        return str((self.migration or {}).get("dest_compute") or "")

    @property
    def memory_moves(self) -> bool:
        """Whether memory is known to be on its way; its figures are null at first."""
        return bool((self.own or {}).get("memory_total_bytes"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the libvirts of source and destination say.

    :ivar phase: where the migration stands by their word. `Phase.SETUP` is a guest that goes on at
        the source with no migration under way; `Phase.COMPLETED` one that has left the source and
        runs at the destination.
    :ivar words: the same, for people.
    :ivar gone: whether the source answered, and has the guest no longer.
    :ivar stopped: whether the guest stands still at the source though it is not handed over.
    :ivar statistics: the source's, of the migration; as libvirt names them.
    :ivar pass_ended_at: when a pass has just ended, in Unix time.
    """

    phase: Phase
    words: str = ""
    gone: bool = False
    stopped: bool = False
    statistics: Mapping[str, Any] = field(default_factory=dict)
    pass_ended_at: float | None = None
