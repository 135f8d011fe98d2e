"""The one seam between what is done to hosts and how they are reached."""

from pathlib import Path
from typing import Protocol

from postcopy.processes import Completed

__all__ = ["HostAccess"]


class HostAccess(Protocol):
    """A way into one host."""

    @property
    def name(self) -> str:
        """What the user calls it."""
        ...

    async def run(
        self, *argv: str, stdin: str | None = None, seconds: float | None = None
    ) -> Completed:
        """Run a command to its end, as root where that was asked for; any exit status is an answer.

        :param seconds: how long it may take; it is ended then.
        :raises UnavailableError: when the host does not answer, or the time is over.
        """
        ...

    async def socket(self, path: str) -> Path:
        """Return where on this machine a unix socket of the host can be connected to.

        :raises UnavailableError: when the host does not answer, or has no such socket.
        """
        ...

    async def close(self) -> None:
        """Let go of the host."""
        ...
