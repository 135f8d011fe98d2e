"""What is asked of the libvirts beneath a migration that Nova drives: to watch, and to recover."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from postcopy.errors import PostcopyError
from postcopy.libvirt.rescue import Ways
from postcopy.migration.recovery import Rescue
from postcopy.migration.sample import Sample
from postcopy.nova.hypervisors import Hypervisors, Watcher, uris
from postcopy.nova.rescue import ServerRescue

__all__ = ["Beneath", "MakeWays", "OpenRescue", "Places"]

MakeWatcher = Callable[[str, str, str | None], Watcher]
MakeWays = Callable[[str, str], Awaitable[Ways]]
"""Takes source and destination as Nova calls them."""

_ONE_LIBVIRT = (
    "should the connection break in post-copy, recovery would need a hand: only the source's"
    " libvirt is named; {host} in --source-uri stands for either host's name"
)


class OpenRescue(Rescue, Protocol):
    """A rescue that is opened before it is of use, and closed in the end."""

    async def open(self, *, fresh: bool) -> None:
        """Reach both hosts, as far as they answer."""
        ...

    async def sample(self, at: float) -> Sample | None:
        """Return what the source's QEMU says, where it goes on and libvirt has not seen it yet."""
        ...

    async def put_records_right(self) -> list[str]:
        """Have libvirt know the domain where it runs, and there alone; return what was done."""
        ...

    async def prepare(self) -> None:
        """Open what can be opened of both QEMUs, while all is well."""
        ...

    async def close(self) -> None:
        """Let go of them."""
        ...


class MakeRescue(Protocol):
    """What makes one; see `ServerRescue`."""

    def __call__(
        self,
        uuid: str,
        uris: tuple[str, str],
        ways: Ways,
        *,
        peer_uri: str | None,
        recover_uri: str | None,
    ) -> OpenRescue: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the libvirts are, and how their hosts are reached; all by the names of Nova's hosts.

    :ivar libvirt_uri: of the source's libvirt, or of both with ``{host}`` for the host's name; None
        where none is to be asked.
    :ivar peer_uri: of the destination's as the source reaches it, with ``{host}``.
    :ivar recover_uri: another path to recover over.
    :ivar ways: makes ways into both hosts; None where nothing is to be recovered.
    """

    libvirt_uri: str | None = None
    peer_uri: str | None = None
    recover_uri: str | None = None
    ways: MakeWays | None = None


class Beneath:
    """The libvirts of one migration, opened when both hosts are known.

    :param notes: where to put what a user should know.

    :ivar watcher: those that are asked, as far as there are some.
    :ivar rescue: what recovers the guest; None where that is not possible.
    :ivar destination: the host that it is made for; empty before.
    """

    def __init__(
        self,
        places: Places,
        notes: list[str],
        *,
        watcher: MakeWatcher = Hypervisors,
        rescue: MakeRescue = ServerRescue,
    ) -> None:
        self.places = places
        self.watcher: Watcher | None = None
        self.rescue: OpenRescue | None = None
        self.destination = ""
        self._ready = False
        self._notes = notes
        self._make_watcher = watcher
        self._make_rescue = rescue

    async def watch(self, uuid: str, source: str, destination: str) -> None:
        """Ask them from now on.

        :param uuid: of the domain.
        :param destination: empty where it is not known yet.
        :raises PostcopyError: when the source's does not answer.
        """
        assert self.places.libvirt_uri is not None
        await self.close()
        self.destination = destination
        watcher = self._make_watcher(uuid, *uris(self.places.libvirt_uri, source, destination))
        try:
            await watcher.open()
        except PostcopyError:
            await watcher.close()
            raise
        self.watcher = watcher

    async def reach(self, uuid: str, source: str, destination: str, *, fresh: bool) -> None:
        """Ask them, and be ready to recover; without either, Nova's word is better than none.

        :param fresh: whether the migration has only begun, and the way between the hosts is whole.
        """
        if self.places.libvirt_uri is None:
            return
        try:
            await self.watch(uuid, source, destination)
        except PostcopyError as error:
            self._notes.append(f"libvirt is not asked, so nothing proves a switch: {error.message}")
        if destination and self.places.ways is not None:
            await self._have_rescue(self.places.ways, uuid, source, destination, fresh)

    async def _have_rescue(
        self, make_ways: MakeWays, uuid: str, source: str, destination: str, fresh: bool
    ) -> None:
        places = self.places
        assert places.libvirt_uri is not None
        here, there = uris(places.libvirt_uri, source, destination)
        if there is None:
            self._notes.append(_ONE_LIBVIRT)
            return
        try:
            rescue = self._make_rescue(
                uuid,
                (here, there),
                await make_ways(source, destination),
                peer_uri=places.peer_uri and places.peer_uri.replace("{host}", destination),
                recover_uri=places.recover_uri,
            )
            await rescue.open(fresh=fresh)
        except PostcopyError as error:
            self._notes.append(f"should it be interrupted, it is not recovered: {error.message}")
            return
        self.rescue, self._ready = rescue, False
        if not fresh:
            await self.be_ready()

    async def be_ready(self) -> None:
        """Open sessions with both QEMUs, and say what recovery would lack; once, and before a cut.

        A QEMU that hangs after one hears only a session from before, and the destination's is there
        no sooner than memory moves.
        """
        if self.rescue is None or self._ready:
            return
        self._ready = True
        try:
            await self.rescue.prepare()
        except PostcopyError as error:
            self._notes.append(f"recovery may lack a way to its guest: {error.message}")
        if self.rescue.obstacles:
            self._notes.append(self.rescue.obstacles)

    async def ahead(self, at: float) -> Sample | None:
        """Return what QEMU says of what libvirt calls interrupted, if that is so no longer."""
        return await self.rescue.sample(at) if self.rescue is not None else None

    async def close(self) -> None:
        """Let go of them."""
        if self.rescue is not None:
            await self.rescue.close()
        if self.watcher is not None:
            await self.watcher.close()
        self.rescue = self.watcher = None
