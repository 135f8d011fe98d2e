"""What a libvirt says of a migration, against what its QEMU knows."""

from types import SimpleNamespace
from typing import Any, cast

import libvirt
import pytest

from postcopy.clock import SystemClock
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


@pytest.mark.parametrize(
    ("known", "phase"),
    [(Sample(at=1.0, phase=Phase.POSTCOPY), Phase.POSTCOPY), (None, Phase.PAUSED)],
    ids=["QEMU goes on", "nobody knows better"],
)
async def test_a_failure_of_libvirt_s_is_checked_with_qemu(
    known: Sample | None, phase: Phase
) -> None:
    nobody = cast(Departure, SimpleNamespace(call=None, limit_downtime=nothing))
    following = Following("web1", cast(Ends, FailedSource()), nobody, SystemClock())
    following.rescue = cast(LibvirtRescue, KnowingRescue(known))
    following.phase = Phase.PAUSED
    assert (await following.sample(None)).phase is phase


async def nothing() -> None:
    """What a departure does that somebody else made."""
