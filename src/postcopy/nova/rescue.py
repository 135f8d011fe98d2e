"""Recovers a server whose post-copy broke: at the libvirts beneath it, and Nova follows.

Nova has no way of its own. Its compute host goes on asking libvirt how the migration is, so once
the domain has arrived, Nova sees that, and finishes by itself.
"""

import asyncio
import contextlib

import libvirt

from postcopy.errors import NotFoundError, PostcopyError
from postcopy.libvirt.carrier import Carrier
from postcopy.libvirt.ends import Ends
from postcopy.libvirt.options import LibvirtOptions
from postcopy.libvirt.records import put_right
from postcopy.libvirt.rescue import LibvirtRescue, Ways
from postcopy.migration.recovery import Half, Look

__all__ = ["ServerRescue"]

_RESUME_SECONDS = 0.3
"""How long libvirt is given to refuse a resume before it is taken to have begun."""


_NO_SECOND_MONITOR = (
    "should the connection break within half a second of the switch, the destination's QEMU may"
    " hang, and is not recovered then: the domain has no second monitor there, which postcopy guest"
    " prepare-host gives to all that come to a host"
)


class ServerRescue(LibvirtRescue):
    """The rescue of a server's domain, over connections of its own.

    :param uuid: of the domain, which is the server's.
    :param uris: of source and destination, as seen from here.
    :param ways: into both hosts, past libvirt.
    :param peer_uri: of the destination as the source reaches it; as seen from here if None.
    :param recover_uri: another path to recover over, as `LibvirtOptions` has it.
    """

    def __init__(
        self,
        uuid: str,
        uris: tuple[str, str],
        ways: Ways,
        *,
        peer_uri: str | None = None,
        recover_uri: str | None = None,
    ) -> None:
        # As Nova itself has its guests defined where they go, and undefined where they were.
        options = LibvirtOptions(
            postcopy=True, persistent=True, undefinesource=True, recover_uri=recover_uri
        )
        self._own = Ends(*uris)
        self._server = uuid
        self._reached_by = (*uris, peer_uri or uris[1])
        self._how = options
        self._carrier: Carrier | None = None
        super().__init__(self._own, uuid, ways, options, self._resume_by_libvirt)

    @property
    def obstacles(self) -> str:
        """Why recovery would need a hand, or what it cannot help; known after `open`."""
        if obstacle := super().obstacles:
            return obstacle
        # Nova has no way to give its domains arguments for QEMU; a hook of libvirt's has.
        return "" if self._monitors[1] is not None else _NO_SECOND_MONITOR

    async def open(self, *, fresh: bool) -> None:
        """Reach both hosts, as far as they answer, and what recovery will need of them.

        :param fresh: whether the way between the hosts is known to be whole, so that it can be
            learnt how it answers.
        """
        with contextlib.suppress(PostcopyError):
            await self._own.connect()
        if fresh and self.wire is not None:
            await self.wire.prepare()
        await self.prepare()

    async def look(self) -> Look:
        """Ask both sides. That the guest has arrived is not the end here: Nova is to see it, too.

        Nova sees it when the source has the guest no longer. A source that does not know that it
        has given everything away is ended therefore, once libvirt calls the guest arrived.
        """
        look = await super().look()
        if look.destination is not Half.DONE or look.source is Half.DONE:
            return look
        if look.source is Half.GONE:
            return Look(Half.DONE, Half.DONE, look.words)
        if await self._end_source():
            return Look(Half.DONE, Half.DONE, f"{look.words}; the source's stopped copy was ended")
        return Look(look.source, Half.UNKNOWN, look.words)

    async def _end_source(self) -> bool:
        """End the source's copy, which stands still for good; return whether it was that."""
        here, there = await self._own.halves(self._server)
        stopped = (here.state, here.reason) == (
            libvirt.VIR_DOMAIN_PAUSED,
            getattr(libvirt, "VIR_DOMAIN_PAUSED_POSTCOPY_FAILED", None),
        )
        arrived = (there.state, there.reason) == (
            libvirt.VIR_DOMAIN_RUNNING,
            libvirt.VIR_DOMAIN_RUNNING_MIGRATED,
        )
        domain = await self._own.source.find(self._server) if stopped and arrived else None
        if domain is None:
            return False
        await self._own.source.call(domain.destroy)
        return True

    async def put_records_right(self) -> list[str]:
        """Have libvirt know the domain where it runs, and there alone; return what was done.

        Where Nova has let go of it, this is urgent: see `postcopy.nova.driver`.
        """
        source, destination = self._own.both
        if destination is None:
            return []
        return await put_right(source, destination, self._server, persistent=True, undefine=True)

    async def close(self) -> None:
        """Let go of both hosts; whatever is under way goes on."""
        await super().close()
        if self._carrier is not None:
            await self._carrier.close()
        await self._own.close()

    async def _resume_by_libvirt(self) -> None:
        """Have libvirt resume the post-copy; the source's daemon carries on without us.

        :raises PostcopyError: when it is refused, such as for being too early.
        """
        domain = await self._own.source.find(self._server)
        if domain is None:
            raise NotFoundError(
                f"there is no domain {self._server} at {self._reached_by[0]} any more",
                hint="look at both hosts: virsh list --all",
            )
        if self._carrier is None:
            self._carrier = Carrier(domain.name(), self._reached_by, self._how)
        call = await self._carrier.resume(peer_to_peer=True, persistent=True)
        await asyncio.wait([call], timeout=_RESUME_SECONDS)
        if call.done() and (error := call.exception()) is not None:
            raise error
