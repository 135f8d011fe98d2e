"""Nova's API, asked about one live migration for as long as that lasts, and silent now and then."""

import asyncio

from postcopy.errors import NotFoundError, PostcopyError
from postcopy.nova.api import NovaApi
from postcopy.nova.look import Look

__all__ = ["Calls"]

_ASK_SECONDS = 1.0
"""How often Nova is asked."""
_BESIDE_SECONDS = 0.1
"""How long a look at libvirt waits for what Nova says at the same time."""


class Calls:
    """Asks Nova, and tells it what to do, about the one migration.

    :param name: what the user calls the server.
    :param notes: where to put what a user should know.

    :ivar uuid: the server's.
    :ivar migration: the id of the migration; None while it is not known.
    :ivar look: the last answer; None before the first.
    :ivar silent_since: when Nova stopped answering; None while it answers.
    """

    def __init__(self, api: NovaApi, name: str, notes: list[str]) -> None:
        self.uuid = ""
        self.migration: int | None = None
        self.look: Look | None = None
        self.silent_since: float | None = None
        self._api = api
        self._name = name
        self._notes = notes
        self._asked_at = 0.0
        self._asking: asyncio.Task[None] | None = None

    @property
    def known(self) -> int:
        """The id of the migration.

        :raises NotFoundError: when there is none.
        """
        if self.migration is None:
            raise NotFoundError(
                f"Nova has no live migration of server {self._name!r}",
                hint=f"openstack server migration list --server {self._name}",
            )
        return self.migration

    def due(self, at: float) -> bool:
        """Return whether it is time to ask again."""
        return at - self._asked_at >= _ASK_SECONDS

    async def ask(self, at: float) -> None:
        """Look; that nobody answers is no error."""
        self._asked_at = at
        try:
            self.look = await self._api.look(self.uuid, self.migration)
        except PostcopyError as error:
            if self.silent_since is None:
                self.silent_since = at
                self._notes.append(f"waiting for Nova to answer again: {error.message}")
        else:
            if self.silent_since is not None:
                seconds = at - self.silent_since
                self._notes.append(f"Nova answers again, after {seconds:.0f} s")
            self.silent_since = None

    async def ask_beside(self, at: float, *, watched: bool) -> None:
        """Look; where libvirt tells of passes, their ends do not wait for a slow answer.

        :param watched: whether libvirt does.
        """
        if self._asking is None:
            self._asking = asyncio.create_task(self.ask(at))
        await asyncio.wait({self._asking}, timeout=_BESIDE_SECONDS if watched else None)
        if self._asking.done():
            asked, self._asking = self._asking, None
            asked.result()  # what is no answer of Nova's is an error of ours, and must be seen

    async def force_complete(self) -> None:
        """Have Nova end pre-copy."""
        await self._api.force_complete(self.uuid, self.known)

    async def abort(self) -> None:
        """Have Nova call it off."""
        await self._api.abort(self.uuid, self.known)

    async def why(self) -> str:
        """Return why Nova gave up, where it says so."""
        return await self._api.why(self.uuid)

    def close(self) -> None:
        """Wait for no more answers."""
        if self._asking is not None:
            self._asking.cancel()
