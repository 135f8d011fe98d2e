"""Faults of the link between the hosts."""

import asyncio

from postcopy.bench.faults.floor import DESTINATION, SOURCE, Mend
from postcopy.bench.faults.model import Fault, Kind, Side
from postcopy.lab.link import DataLink

__all__ = ["LinkFaults"]

_SLOW = 125_000  # 1 Mb/s
_SLOW_QUEUE_SECONDS = 0.3
_DELAY_SECONDS = 1.0
_DELAY_RATE = 4_000_000
"""Slow enough for one connection's window to fill a queue of that length."""

_HOSTS = {Side.SOURCE: SOURCE, Side.DESTINATION: DESTINATION}


class LinkFaults:
    """Breaks one link, in one way at a time: another fault waits until the one before is over.

    :param rate: the link's own, in bytes a second.
    """

    def __init__(self, link: DataLink, rate: int) -> None:
        self._link = link
        self._rate = rate
        self._busy = asyncio.Lock()

    async def whole(self) -> None:
        """Make the link what it is without faults, whatever was done to it."""
        await self._link.up()
        await self._link.set_rate(self._rate)

    async def free(self) -> None:
        """Wait until no fault is under way, and have the next one wait for the `strike` to come."""
        await self._busy.acquire()

    async def strike(self, fault: Fault) -> Mend:
        """Do a fault, after `free`, and return what undoes it, which must be called."""
        try:
            return await self._strike(fault)
        except BaseException:
            self._busy.release()
            raise

    async def _strike(self, fault: Fault) -> Mend:
        link = self._link
        match fault.kind:
            case Kind.DOWN:
                await link.down()
            case Kind.DROP:
                await link.drop()
            case Kind.ONE_WAY:
                await link.drop([_HOSTS[fault.side]])
            case Kind.HALF_OPEN:
                await link.drop()
                # The side that is named is left with connections whose other ends have gone.
                await link.reset([host for side, host in _HOSTS.items() if side is not fault.side])
            case Kind.RESET:
                await link.reset()
            case Kind.SLOW:
                await link.set_rate(_SLOW, queue_seconds=_SLOW_QUEUE_SECONDS)
            case Kind.DELAY:
                await link.set_rate(min(self._rate, _DELAY_RATE), queue_seconds=_DELAY_SECONDS)
            case _:
                raise ValueError(f"{fault.kind} is no fault of a link")
        return self._mend

    async def _mend(self) -> None:
        try:
            await self.whole()
        finally:
            self._busy.release()
