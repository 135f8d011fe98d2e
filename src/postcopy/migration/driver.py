"""The one seam between the core and whatever moves a guest."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from postcopy.migration.outcome import Figures
from postcopy.migration.recovery.seam import Rescue
from postcopy.migration.sample import Sample

__all__ = ["Driver"]


class Driver(Protocol):
    """One way of moving one guest. A driver holds no state that the hypervisor does not.

    Calls that fail raise one of the three fates of `postcopy.errors`: nothing happened, nothing
    happened and it may be tried again, or the outcome is unknown.
    """

    @property
    def notes(self) -> Sequence[str]:
        """What a user should know of how it is done; more may come while it goes on."""
        ...

    @property
    def advice(self) -> str:
        """What to do about the end that it came to; empty where the fate says it all."""
        ...

    def record(self) -> Mapping[str, Any]:
        """Return what a later process needs to reach the same migration, as plain JSON values."""
        ...

    async def check(self) -> None:
        """Reach both ends and make the checks that `start` makes; move nothing.

        :raises PostcopyError: what stands in the way.
        """
        ...

    async def start(self) -> None:
        """Begin to migrate.

        :raises RefusedError: when a guard says that the guest could be hurt, or cannot be moved.
        """
        ...

    async def attach(self) -> None:
        """Reach a migration that was begun earlier, instead of `start`."""
        ...

    def samples(self) -> AsyncIterator[Sample]:
        """Yield a sample at once, whenever something happens, and now and then in between.

        Ends after a sample whose phase is terminal or paused.
        """
        ...

    async def switch(self) -> None:
        """Go over to post-copy: from here on there is no way back."""
        ...

    async def cancel(self) -> None:
        """Call the migration off; the guest goes on at the source.

        :raises RefusedError: in post-copy, where it would destroy the guest.
        """
        ...

    async def pause(self) -> None:
        """Stop the guest in pre-copy until it has moved; then, or if it does not, it goes on.

        Asking again changes nothing.
        """
        ...

    async def set_bandwidth(self, bytes_per_second: int) -> None:
        """Bound the bandwidth of the migration."""
        ...

    async def set_downtime_limit(self, seconds: float) -> None:
        """Set how long the guest may stand still at a pre-copy switchover."""
        ...

    async def figures(self) -> Figures:
        """Return the hypervisor's own account, once the migration has ended."""
        ...

    @property
    def rescue(self) -> Rescue | None:
        """What brings both halves of the guest together again after a cut in post-copy.

        None for one that cannot; known once the migration has begun or was attached to.
        """
        ...

    async def close(self) -> None:
        """Let go of the monitors; whatever is under way goes on."""
        ...
