"""Which live migration of a server is meant: Nova numbers it some time after it was asked for."""

import contextlib
from collections.abc import Mapping
from typing import Any

from postcopy.clock import Clock
from postcopy.errors import (
    NotFoundError,
    OutcomeUnknownError,
    PostcopyError,
    RetryableError,
    UnavailableError,
)
from postcopy.nova import guards
from postcopy.nova.api import NovaApi
from postcopy.nova.look import OVER

__all__ = ["Search"]

_POLL_SECONDS = 1.0
_BEGIN_SECONDS = 120.0
"""How long a migration may take to show up after it was accepted."""
_LOST_SECONDS = 20.0
"""The same after a request whose answer was lost."""


class Search:
    """Finds the server, and its migration: the first one after those that were there before.

    :param server: its name or uuid.

    :ivar uuid: the server's; known once `locate` has looked.
    :ivar source: the host that it leaves; likewise.
    :ivar earlier: the number of the last migration before ours; 0 for none.
    """

    def __init__(self, api: NovaApi, server: str, clock: Clock) -> None:
        self.uuid = ""
        self.source = ""
        self.earlier = 0
        self._api = api
        self._server = server
        self._clock = clock

    async def locate(self) -> None:
        """Find the server and the host that it is on now.

        :raises NotFoundError: when the cloud has no such server.
        :raises RefusedError: when it is on none.
        """
        found = await self._api.server(self._server)
        self.uuid, self.source = str(found["id"]), guards.host_of(self._server, found)

    async def remember_earlier(self) -> None:
        """Note which migrations there are: what comes after them is ours."""
        self.earlier = max((int(one["id"]) for one in await self._migrations()), default=0)

    async def begun(self, lost: PostcopyError | None) -> int:
        """Wait until Nova has a record of the migration that was asked for; return its number.

        :param lost: why the answer to the request is not known, if it is not.
        :raises PostcopyError: that, or what says so, when it does not come.
        """
        patience = _BEGIN_SECONDS if lost is None else _LOST_SECONDS
        deadline = self._clock.now() + patience
        while (number := await self._ours_by_now()) is None:
            if self._clock.now() > deadline:
                raise lost or OutcomeUnknownError(
                    f"Nova has accepted the migration of server {self._server!r}, and has no record"
                    f" of it after {patience:.0f} s",
                    hint="does a nova-conductor run? openstack compute service list; then:"
                    f" postcopy attach {self._server}",
                )
            await self._clock.sleep(_POLL_SECONDS)
        return number

    async def again(self) -> int:
        """Return the number of the migration that an earlier process began.

        :raises NotFoundError: when Nova has none that is newer than what was there before.
        """
        deadline = self._clock.now() + _BEGIN_SECONDS
        while True:
            try:
                number = await self._ours()
            except (UnavailableError, RetryableError):
                if self._clock.now() > deadline:
                    raise
                await self._clock.sleep(_POLL_SECONDS)
                continue
            if number is None:
                raise NotFoundError(
                    f"Nova has no live migration of server {self._server!r} that was begun after"
                    " the one before",
                    hint=f"it was never begun, or its record is gone: openstack server migration"
                    f" list --server {self._server}",
                )
            return number

    async def under_way(self, *, over: bool) -> int:
        """Return the number of the migration that is under way, whoever began it.

        :param over: take the latest also if Nova says that it is over, which need not be so.
        :raises NotFoundError: when there is none.
        """
        await self.locate()
        newest = next(iter(await self._migrations()), None)
        if newest is None or (newest.get("status") in OVER and not over):
            raise NotFoundError(
                f"no live migration of server {self._server!r} is under way",
                hint=f"openstack server migration list --server {self._server}",
            )
        self.source = str(newest.get("source_compute") or self.source)
        return int(newest["id"])

    async def _migrations(self) -> list[Mapping[str, Any]]:
        return await self._api.migrations(self.uuid)

    async def _ours_by_now(self) -> int | None:
        with contextlib.suppress(UnavailableError, RetryableError):
            return await self._ours()
        return None

    async def _ours(self) -> int | None:
        if not self.uuid:
            await self.locate()
        numbers = [int(one["id"]) for one in await self._migrations()]
        return min((number for number in numbers if number > self.earlier), default=None)
