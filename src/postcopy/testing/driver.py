"""A driver that moves a guest made of arithmetic."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from postcopy.clock import Clock
from postcopy.errors import PostcopyError, RefusedError
from postcopy.migration.outcome import Figures
from postcopy.migration.phase import Phase
from postcopy.migration.recovery import Half
from postcopy.migration.sample import Sample
from postcopy.testing.clock import FakeClock
from postcopy.testing.rescue import FakeRescue

__all__ = ["FakeDriver", "FakeGuest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeGuest:
    """A guest that rewrites `hot_bytes` of its `total_bytes` at `write_rate` bytes a second.

    In a pass of `t` seconds it dirties ``min(hot_bytes, write_rate * t)``.
    """

    total_bytes: int = 512_000_000
    hot_bytes: int = 96_000_000
    write_rate: float = 1e9
    bandwidth: float = 118e6


class FakeDriver:
    """Follows the textbook: passes until what is left fits into the downtime limit, or a switch.

    :param refuse_switch: how many times `switch` is refused before it is accepted.
    :param break_after: go to `Phase.PAUSED` this many seconds after the switch, and as long after
        each recovery, as often as `breaks` says.
    :param breaks: how often.
    :param rescue: what recovers it then. Without one, it stays broken.
    :param noticed: whether a break is noticed by itself; else the guest stands still in post-copy.
    :param poll_seconds: time between samples within a pass.
    """

    def __init__(
        self,
        guest: FakeGuest | None = None,
        clock: Clock | None = None,
        *,
        downtime_limit: float = 0.3,
        refuse_switch: int = 0,
        break_after: float | None = None,
        breaks: int = 1,
        rescue: FakeRescue | None = None,
        noticed: bool = True,
        poll_seconds: float = 0.1,
    ) -> None:
        self.guest = guest or FakeGuest()
        self.clock = clock or FakeClock()
        self.calls: list[str] = []
        """What was asked of the driver, in order."""
        self._downtime_limit = downtime_limit
        self._bandwidth = self.guest.bandwidth
        self._refuse_switch = refuse_switch
        self._break_after = break_after
        self._breaks = breaks
        self._noticed = noticed
        self.rescue = rescue
        self._poll_seconds = poll_seconds
        self._phase = Phase.SETUP
        self._pass_number = 0
        self._remaining = 0.0
        self._transferred = 0.0
        self._switch_asked = False
        self._cancel_asked = False

    @property
    def notes(self) -> Sequence[str]:
        return ()

    @property
    def advice(self) -> str:
        return ""

    def record(self) -> Mapping[str, Any]:
        return {"kind": "fake"}

    async def check(self) -> None:
        self.calls.append("check")

    async def start(self) -> None:
        self.calls.append("start")

    async def attach(self) -> None:
        self.calls.append("attach")

    async def switch(self) -> None:
        self.calls.append("switch")
        if self._refuse_switch:
            self._refuse_switch -= 1
            raise PostcopyError("not yet")
        self._switch_asked = True

    async def cancel(self) -> None:
        self.calls.append("cancel")
        if self._phase.spread:
            raise RefusedError("the guest is on both hosts")
        self._cancel_asked = True

    async def pause(self) -> None:
        self.calls.append("pause")
        self.guest = replace(self.guest, write_rate=0.0)

    async def set_bandwidth(self, bytes_per_second: int) -> None:
        self.calls.append(f"bandwidth {bytes_per_second}")
        self._bandwidth = min(self.guest.bandwidth, bytes_per_second)

    async def set_downtime_limit(self, seconds: float) -> None:
        self.calls.append(f"downtime {seconds}")
        self._downtime_limit = seconds

    async def figures(self) -> Figures:
        return Figures(transferred_bytes=round(self._transferred), passes=self._pass_number)

    async def close(self) -> None:
        self.calls.append("close")

    async def samples(self) -> AsyncIterator[Sample]:
        if self._phase is Phase.PAUSED and self.rescue and self.rescue.source is Half.ACTIVE:
            self._phase = Phase.POSTCOPY
        yield self._sample()
        if self._phase.spread:
            async for sample in self._end():
                yield sample
            return
        self._phase, self._pass_number = Phase.PRECOPY, 1
        self._remaining = float(self.guest.total_bytes)
        began = self.clock.now()
        yield self._sample()
        while self._phase is Phase.PRECOPY:
            if self._cancel_asked:
                self._phase = Phase.CANCELLED
            elif self._switch_asked:
                self._phase = Phase.POSTCOPY
            elif self._remaining > 0:
                await self._send()
            else:
                seconds = self.clock.now() - began
                self._remaining = min(self.guest.hot_bytes, self.guest.write_rate * seconds)
                if self._remaining <= self._bandwidth * self._downtime_limit:
                    self._phase = Phase.SWITCHOVER
                else:
                    began = self.clock.now()
                    self._pass_number += 1
                    yield self._sample(pass_ended_at=began)
                    continue
            yield self._sample()
        async for sample in self._end():
            yield sample

    async def _end(self) -> AsyncIterator[Sample]:
        switched_at = self.clock.now()
        while self._phase in (Phase.SWITCHOVER, Phase.POSTCOPY):
            await self._send()
            if self._phase is Phase.POSTCOPY and self._break_after is not None and self._breaks:
                if self.clock.now() - switched_at >= self._break_after:
                    self._breaks -= 1
                    if self.rescue:
                        self.rescue.cut(noticed=self._noticed)
                    if self._noticed:
                        self._phase = Phase.PAUSED
                    while not self._noticed:
                        yield self._sample()
                        await self.clock.sleep(self._poll_seconds)
            elif self._remaining <= 0:
                self._phase = Phase.COMPLETED
            yield self._sample()

    async def _send(self) -> None:
        seconds = min(self._poll_seconds, self._remaining / self._bandwidth)
        await self.clock.sleep(seconds)
        self._transferred += seconds * self._bandwidth
        self._remaining -= seconds * self._bandwidth
        if self._remaining < 1:
            self._remaining = 0.0

    def _sample(self, pass_ended_at: float | None = None) -> Sample:
        return Sample(
            at=self.clock.now(),
            phase=self._phase,
            status=f"fake-{self._phase}",
            pass_number=self._pass_number,
            pass_ended_at=pass_ended_at,
            total_bytes=self.guest.total_bytes,
            remaining_bytes=round(self._remaining),
            transferred_bytes=round(self._transferred),
            bandwidth=self._bandwidth,
        )
