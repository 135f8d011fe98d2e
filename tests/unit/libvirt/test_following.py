"""What a libvirt says of a migration, against what its QEMU knows."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import libvirt
import pytest

from postcopy.clock import SystemClock
from postcopy.libvirt import following as following_module
from postcopy.libvirt.departure import Departure
from postcopy.libvirt.ends import Ends
from postcopy.libvirt.following import Following
from postcopy.libvirt.look import Half
from postcopy.libvirt.rescue import LibvirtRescue
from postcopy.migration import Phase, Sample

FAILED = Half(True, libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED)
THERE = Half(True, libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY)


class FailedSource:
    """A source whose libvirt lost the other one, and calls its post-copy failed."""

    def __init__(self) -> None:
        self.source = self
        self.both = (self, self)

    async def call(self, function: Any, *arguments: Any) -> Any:
        return function(*arguments)

    async def domain(self, name: str) -> Any:
        return SimpleNamespace(jobStats=lambda: {"type": 2, "memory_total": 100})

    async def reconnect(self) -> bool:
        return False

    async def halves(self, uuid: str) -> tuple[Half, Half]:
        return FAILED, THERE


class KnowingRescue:
    def __init__(self, sample: Sample | None) -> None:
        self._sample = sample

    async def sample(self, at: float) -> Sample | None:
        return self._sample


def following_of(ends: FailedSource, known: Sample | None) -> Following:
    nobody = cast(Departure, SimpleNamespace(call=None, limit_downtime=nothing))
    following = Following("web1", cast(Ends, ends), nobody, SystemClock())
    following.rescue = cast(LibvirtRescue, KnowingRescue(known))
    return following


async def nothing() -> None:
    """What a departure does that somebody else made."""


@pytest.mark.parametrize(
    ("known", "phase"),
    [(Sample(at=1.0, phase=Phase.POSTCOPY), Phase.POSTCOPY), (None, Phase.PAUSED)],
    ids=["QEMU goes on", "nobody knows better"],
)
async def test_a_failure_of_libvirt_s_is_checked_with_qemu(
    known: Sample | None, phase: Phase
) -> None:
    following = following_of(FailedSource(), known)
    following.phase = Phase.PAUSED
    assert (await following.sample(None)).phase is phase


async def test_a_daemon_that_keeps_everybody_waiting_is_asked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following_module, "_JOB_SECONDS", 0.02)
    asked = 0

    class HangingSource(FailedSource):
        async def call(self, function: Any, *arguments: Any) -> Any:
            nonlocal asked
            asked += 1
            await asyncio.sleep(60)

    following = following_of(HangingSource(), Sample(at=1.0, phase=Phase.POSTCOPY))
    seen = [(await following.sample(None)).phase for _ in range(3)]
    assert (seen, asked) == ([Phase.POSTCOPY] * 3, 1)
    await following.close()
