"""Opens connections to a daemon that may be away for days, without one more thread at each try."""

import asyncio

from postcopy.errors import UnavailableError
from postcopy.libvirt.connection import Connection

__all__ = ["Opening"]

# An attempt that hangs, such as at a daemon that is stopped, cannot be ended: libvirt blocks. It is
# given up and made anew all the same, ever more rarely, as the host may have been started anew.
_FIRST_PATIENCE_SECONDS, _LONGEST_PATIENCE_SECONDS = 60.0, 3600.0


class Opening:
    """Opens connections to one daemon, one attempt at a time.

    :param uri: the daemon's.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._attempt: asyncio.Task[Connection] | None = None
        self._patience = _FIRST_PATIENCE_SECONDS

    async def connection(self, seconds: float = 20.0) -> Connection:
        """Connect. An attempt that takes longer goes on, and the next call waits for that one.

        :raises UnavailableError: when the daemon does not answer within that time, or refuses.
        """
        attempt = self._attempt
        if attempt is None:
            attempt = asyncio.create_task(Connection.open(self.uri, self._patience))
            # Nobody may come back for its error; asyncio must not complain of that.
            attempt.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._attempt = attempt
            self._patience = min(self._patience * 2, _LONGEST_PATIENCE_SECONDS)
        await asyncio.wait([attempt], timeout=seconds)
        if not attempt.done():
            raise UnavailableError(
                f"no libvirt answers at {self.uri} within {seconds:.0f} s",
                hint=f"try it: virsh -c '{self.uri}' version",
            )
        self._attempt = None
        connection = attempt.result()
        self._patience = _FIRST_PATIENCE_SECONDS
        return connection

    async def close(self) -> None:
        """Let go of an attempt that is under way."""
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        attempt.cancel()
        await asyncio.wait([attempt])
        if not attempt.cancelled() and attempt.exception() is None:
            await attempt.result().close()
