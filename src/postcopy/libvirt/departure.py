"""Begins the migration of one domain, by whichever of libvirt's ways there is, and resumes it."""

import asyncio
import contextlib
from typing import Any
from urllib.parse import urlsplit

import libvirt

from postcopy.errors import OutcomeUnknownError, PostcopyError, RefusedError
from postcopy.libvirt.carrier import Carrier
from postcopy.libvirt.ends import Ends
from postcopy.libvirt.monitor import default_path, monitor_of, with_monitor
from postcopy.libvirt.options import LibvirtOptions

__all__ = ["Departure"]

# How long libvirt is given to refuse a resume before it is taken to have begun.
_RESUME_SECONDS = 0.3

# How long the call of a migration that is over may take to say so.
_LAST_SECONDS = 5.0


class Departure:
    """The call that carries one domain away, peer-to-peer where the source can by itself.

    :param guest: the domain's name at the source.
    :param uris: of the source, of the destination as seen from here, and as the source sees it.
    :param ends: connections to both, for all but the call itself.
    :param notes: where to say what a user should know of how it is done.
    """

    def __init__(
        self,
        guest: str,
        uris: tuple[str, str, str],
        options: LibvirtOptions,
        ends: Ends,
        notes: list[str],
    ) -> None:
        self.call: asyncio.Task[Any] | None = None
        """The call that is under way, or has ended; None where somebody else made it."""
        self._guest = guest
        self._peer = uris[2]
        self._options = options
        self._ends = ends
        self._notes = notes
        self._carrier = Carrier(guest, uris, options)
        self._direct = False
        self._limit: float | None = None
        self._arriving: str | None = None

    @property
    def name_there(self) -> str:
        """The domain's name at the destination."""
        return self._options.dname or self._guest

    @property
    def failed(self) -> bool:
        """Whether the call has ended in an error."""
        return self.call is not None and self.call.done() and bool(self.call.exception())

    async def succeeded(self) -> bool:
        """Return whether libvirt has brought the migration, which is over, to its end by itself.

        After a quick recovery past libvirt, it may take a moment until its call fails.
        """
        if self.call is None:
            return False
        await asyncio.wait([self.call], timeout=_LAST_SECONDS)
        return self.call.done() and not self.failed

    def found(self) -> None:
        """Take note that somebody else began the migration."""
        self._direct = self._direct or self._peer_is_local  # the source would resume to itself

    async def connect(self) -> None:
        """Reach the source ahead of the call."""
        await self._carrier.connect()

    async def begin(self, *, persistent: bool, monitor: bool) -> None:
        """Begin, and return when the migration is under way.

        :param persistent: whether the domain is, at the source.
        :param monitor: whether a domain that has no second monitor is to arrive with one.
        :raises PostcopyError: when it was refused; the guest is untouched.
        """
        if monitor:
            self._arriving = await self._with_monitor()
        if self._peer_is_local:
            self._note_direct("the destination's URI is a local one, which the source cannot use")
            await self._begin(persistent, peer_to_peer=False)
            return
        try:
            await self._begin(persistent, peer_to_peer=True)
        except PostcopyError as error:
            if "remote libvirt URI" not in error.message:
                raise
            self._note_direct(f"the source cannot reach {self._peer}")
            await self._begin(persistent, peer_to_peer=False)

    async def resume(self, *, persistent: bool) -> None:
        """Have libvirt resume the interrupted post-copy; returns when that has begun.

        :raises PostcopyError: when it is refused, such as for being too early.
        """
        call = await self._carrier.resume(peer_to_peer=not self._direct, persistent=persistent)
        await asyncio.wait([call], timeout=_RESUME_SECONDS)
        if call.done() and (error := call.exception()) is not None:
            raise self.told(error)
        self.call = call

    async def limit_downtime(self) -> None:
        """Set the downtime limit, once, when memory moves: it has no parameter of its own."""
        if self._limit is not None:
            limit, self._limit = self._limit, None
            # Too late in a migration of a few milliseconds: then it is over within any limit.
            with contextlib.suppress(PostcopyError):
                await self.set_downtime_limit(limit)

    async def set_downtime_limit(self, seconds: float) -> None:
        """Set how long the guest may stand still at a pre-copy switchover."""
        milliseconds = max(1, round(seconds * 1000))
        domain = await self._domain()
        await self._ends.source.call(domain.migrateSetMaxDowntime, milliseconds, 0)

    def told(self, error: BaseException) -> PostcopyError:
        """Return what ended the call as an error of ours."""
        if isinstance(error, PostcopyError):
            return error
        return OutcomeUnknownError(
            f"migrating {self._guest!r} ended in {error!r}", hint="look at both hosts"
        )

    async def close(self) -> None:
        """Let go of both daemons."""
        await self._carrier.close()

    async def _domain(self) -> libvirt.virDomain:
        return await self._ends.source.domain(self._guest)

    @property
    def _peer_is_local(self) -> bool:
        """Whether the destination's URI means something else to the source than it does here."""
        parts = urlsplit(self._peer)
        return "unix" in parts.scheme or not parts.netloc

    def _note_direct(self, why: str) -> None:
        self._direct = True
        self._notes.append(
            f"direct, not peer-to-peer: {why}. The migration depends on this process until its end"
        )

    async def _with_monitor(self) -> str | None:
        """Return the definition by which a domain that has no second monitor arrives with one.

        It counts while the domain runs there: what is defined for its next start stays as it is.
        None where it has one, or cannot be given one.
        """
        flags = libvirt.VIR_DOMAIN_XML_MIGRATABLE | libvirt.VIR_DOMAIN_XML_SECURE
        domain = await self._domain()
        xml = self._options.xml or str(await self._ends.source.call(domain.XMLDesc, flags))
        with contextlib.suppress(RefusedError):
            if monitor_of(xml) is None:
                return with_monitor(xml, default_path(self.name_there))
        return None

    async def _begin(self, persistent: bool, *, peer_to_peer: bool) -> None:
        try:
            await self._begin_once(persistent, peer_to_peer)
        except PostcopyError as error:
            path = default_path(self.name_there)
            if self._arriving is None or path not in error.message:
                raise
            # Such as on a host that confines its QEMUs: the guest has not moved, and goes without.
            self._arriving = None
            self._notes.append(f"the destination's QEMU may not have a second monitor at {path}")
            await self._begin_once(persistent, peer_to_peer)
        if self._arriving is not None:
            self._notes.append(
                "the destination's QEMU has a second monitor, for recovery; its next has none"
            )

    async def _begin_once(self, persistent: bool, peer_to_peer: bool) -> None:
        domain = await self._domain()
        self.call = await self._carrier.begin(
            peer_to_peer=peer_to_peer, persistent=persistent, xml=self._arriving
        )
        self._limit = self._options.downtime_limit
        await self._under_way(self.call, domain)

    async def _under_way(self, call: asyncio.Task[Any], domain: libvirt.virDomain) -> None:
        """Return when disks or memory move, or raise why they do not."""
        while True:
            await asyncio.wait([call], timeout=0.02)
            if call.done():
                if error := call.exception():
                    raise self.told(error)
                return
            with contextlib.suppress(PostcopyError):
                statistics = await self._ends.source.call(domain.jobStats)
                if statistics.get("memory_total"):
                    await self.limit_downtime()
                    return
                if statistics.get("disk_total"):
                    return
