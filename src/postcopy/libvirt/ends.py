"""The two daemons of a migration, either of which may go away and come back."""

import asyncio
import contextlib

from postcopy.errors import PostcopyError, UnavailableError
from postcopy.libvirt.asking import Asking
from postcopy.libvirt.connection import Connection
from postcopy.libvirt.look import Half, look_at
from postcopy.libvirt.opening import Opening

__all__ = ["Ends"]

# Whoever has not answered for this long is out of reach for now.
_ANSWER_SECONDS = 2.0


class Ends:
    """Connections to source and destination, as far as they answer.

    :param source_uri: libvirt URI of the source.
    :param destination_uri: of the destination, as seen from here; None where that is not known,
        and then it is as if it did not answer.
    """

    def __init__(self, source_uri: str, destination_uri: str | None) -> None:
        self._uris = (source_uri, destination_uri)
        self._openings = [Opening(uri) if uri is not None else None for uri in self._uris]
        self._open: list[Connection | None] = [None, None]
        self._asking: tuple[Asking[Half], Asking[Half]] = (Asking(), Asking())

    @property
    def source(self) -> Connection:
        """The connection to the source.

        :raises UnavailableError: when there is none.
        """
        return self._there(0)

    @property
    def destination(self) -> Connection:
        """The connection to the destination.

        :raises UnavailableError: when there is none.
        """
        return self._there(1)

    @property
    def both(self) -> tuple[Connection | None, Connection | None]:
        """Source and destination; None for one that does not answer."""
        source, destination = self._open
        return source, destination

    async def connect(self) -> None:
        """Open what is not open; what can be opened is kept if the other cannot.

        :raises UnavailableError: of the source, if both fail.
        """
        missing = [
            (index, opening)
            for index, opening in enumerate(self._openings)
            if opening is not None and self._open[index] is None
        ]
        opened = await asyncio.gather(
            *(opening.connection() for _, opening in missing), return_exceptions=True
        )
        for (index, _), result in zip(missing, opened, strict=True):
            if isinstance(result, Connection):
                self._open[index] = result
        for result in opened:
            if isinstance(result, BaseException):
                raise result

    async def reconnect(self) -> bool:
        """Replace connections that have died, as far as the daemons are back.

        :returns: whether the source's connection is a new one, which hears no events yet.
        """
        for index, connection in enumerate(self._open):
            if connection is not None and not await connection.alive():
                await connection.close()
                self._asking[index].forget()
                self._open[index] = None
        was_there = self._open[0] is not None
        # One that is not back yet may come back later.
        with contextlib.suppress(PostcopyError):
            await self.connect()
        return not was_there and self._open[0] is not None

    async def halves(self, uuid: str) -> tuple[Half, Half]:
        """Ask both hosts for the domain; one that does not answer in time is out of reach.

        :param uuid: of the domain that these ends are for.
        """
        source, destination = await asyncio.gather(*(self._half(i, uuid) for i in (0, 1)))
        return source, destination

    async def _half(self, index: int, uuid: str) -> Half:
        silent = Half(reachable=False)
        if (connection := self._open[index]) is None:
            return silent
        asking = self._asking[index]
        return await asking.answer(lambda: look_at(connection, uuid), _ANSWER_SECONDS) or silent

    async def close(self) -> None:
        """Let go of both."""
        for asking in self._asking:
            asking.forget()
        for index, connection in enumerate(self._open):
            if connection is not None:
                await connection.close()
            self._open[index] = None
        for opening in self._openings:
            if opening is not None:
                await opening.close()

    def _there(self, index: int) -> Connection:
        connection = self._open[index]
        if connection is None:
            raise UnavailableError(
                f"libvirt at {self._uris[index]} does not answer any more",
                hint="is libvirtd still running there?",
            )
        return connection
