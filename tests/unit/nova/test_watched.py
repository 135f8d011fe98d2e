"""Moves that libvirt is asked about, too: it proves what Nova only says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from postcopy.errors import UnavailableError
from postcopy.migration.outcome import Fate
from postcopy.migration.phase import Phase
from postcopy.nova.beneath import Places
from postcopy.nova.hypervisors import uris
from postcopy.nova.look import Seen

from .moves import World, world

P = Phase


class FakeLibvirt:
    """Two libvirts as the cloud's hosts would have them, unless a test says otherwise."""

    final: Mapping[str, Any] | None = None

    def __init__(self, world: World) -> None:
        self.world = world
        self.opened: list[tuple[str, str | None]] = []
        self.says: Phase | None = None
        self.refuses = False
        self.silent = False
        self.limits: list[float] = []

    def __call__(self, uuid: str, source_uri: str, destination_uri: str | None) -> "FakeLibvirt":
        self.opened.append((source_uri, destination_uri))
        return self

    async def open(self) -> None:
        if self.refuses:
            raise UnavailableError("no libvirt answers")

    async def look(self) -> Seen | None:
        cloud = self.world.cloud
        cloud.live()
        if self.silent:
            return None
        if self.says is not None:
            return Seen(phase=self.says, words="as the test says", statistics=self._statistics())
        if not cloud.migrations or cloud.latest.status in ("accepted", "preparing", "queued"):
            return Seen(phase=P.SETUP)
        phase = {"running": P.PRECOPY, "running (post-copy)": P.POSTCOPY, "completed": P.COMPLETED}
        found = phase.get(cloud.latest.status, P.SETUP)
        return Seen(
            phase=found,
            gone=found is P.COMPLETED,
            stopped=found is P.PRECOPY and cloud.latest.stopped,
            statistics=self._statistics(),
        )

    def _statistics(self) -> dict[str, int]:
        one = self.world.cloud.latest
        return {
            "memory_total": self.world.cloud.memory_bytes,
            "memory_remaining": int(one.left),
            "memory_processed": int(one.sent),
            "memory_iteration": 1,
        }

    async def wait(self, seconds: float) -> None:
        await self.world.clock.sleep(seconds)

    async def suspend(self) -> None:
        raise AssertionError("nobody asked for that")

    async def set_downtime_limit(self, seconds: float) -> None:
        self.limits.append(seconds)

    async def close(self) -> None:
        pass


TEMPLATE = "qemu+ssh://{host}/system"
PLACES = Places(libvirt_uri=TEMPLATE)


async def test_the_switch_is_proven_by_libvirt(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        libvirt = FakeLibvirt(w)
        outcome = await w.move(places=PLACES, watcher=libvirt)
    assert outcome.fate is Fate.COMPLETED
    assert w.phases == [P.SETUP, P.PRECOPY, P.POSTCOPY, P.COMPLETED]
    assert libvirt.opened[-1] == ("qemu+ssh://alpha/system", "qemu+ssh://beta/system")
    assert "nothing proves" not in w.notes
    assert outcome.figures.transferred_bytes


async def test_post_copy_that_nova_says_and_libvirt_does_not_see(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        libvirt = FakeLibvirt(w)
        w.cloud.later += [
            (10.0, lambda: setattr(libvirt, "says", P.PRECOPY)),
            (30.0, lambda: setattr(libvirt, "says", P.SETUP)),
            (30.0, lambda: w.cloud.roll_back("the link was dead")),
        ]
        w.cloud.bandwidth /= 10
        outcome = await w.move(switch_after=15.0, places=PLACES, watcher=libvirt)
    assert "running (post-copy)" in " ".join(w.statuses)
    assert P.POSTCOPY not in w.phases
    assert "Nova says post-copy, and libvirt that it has not begun" in w.notes
    assert (outcome.fate, outcome.error) == (Fate.FAILED, "the link was dead")


async def test_a_pause_by_novas_own_time_out_is_seen_by_libvirt_alone(tmp_path: Path) -> None:
    with world(tmp_path, timeout_seconds=20.0, permitted=False) as w:
        outcome = await w.move(None, places=PLACES, watcher=FakeLibvirt(w))
    assert outcome.fate is Fate.COMPLETED
    assert "the guest was paused by itself" in w.notes


async def test_moved_and_nova_does_not_know(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        libvirt = FakeLibvirt(w)
        w.cloud.bandwidth /= 10
        w.cloud.later += [
            (40.0, w.cloud.restart_compute),
            (60.0, lambda: setattr(libvirt, "says", P.COMPLETED)),
        ]
        outcome = await w.move(switch_after=10.0, places=PLACES, watcher=libvirt)
    assert w.phases == [P.SETUP, P.PRECOPY, P.POSTCOPY, P.ASTRAY]
    assert outcome.fate is Fate.ASTRAY
    assert "Nova takes it to be at alpha" in outcome.error
    assert "Which records are wrong" in outcome.hint


async def test_half_here_and_half_there(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        libvirt = FakeLibvirt(w)
        w.cloud.stuck = True
        w.cloud.later.append((40.0, lambda: setattr(libvirt, "says", P.PAUSED)))
        outcome = await w.move(switch_after=10.0, places=PLACES, watcher=libvirt)
    assert outcome.fate is Fate.INTERRUPTED
    assert "postcopy recover web1" in outcome.hint


async def test_nova_is_silent_and_libvirt_is_not(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        w.nova.fail("500", 12.0, 60.0)
        outcome = await w.move(switch_after=20.0, places=PLACES, watcher=FakeLibvirt(w))
    assert outcome.fate is Fate.COMPLETED
    assert P.UNKNOWN not in w.phases


async def test_it_arrives_while_nova_is_silent(tmp_path: Path) -> None:
    """That Nova does not know of it is not said before Nova is heard again."""
    with world(tmp_path) as w:
        w.nova.fail("500", 30.0, 170.0)
        outcome = await w.move(switch_after=10.0, places=PLACES, watcher=FakeLibvirt(w))
    assert outcome.fate is Fate.COMPLETED
    assert P.UNKNOWN in w.phases
    assert P.ASTRAY not in w.phases


async def test_the_schedulers_choice_is_asked_too(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        libvirt = FakeLibvirt(w)
        await w.move(host=None, places=PLACES, watcher=libvirt)
    assert libvirt.opened[0] == ("qemu+ssh://alpha/system", None)
    assert libvirt.opened[-1] == ("qemu+ssh://alpha/system", "qemu+ssh://beta/system")


async def test_a_libvirt_that_is_gone_when_a_run_is_picked_up_again(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        libvirt = FakeLibvirt(w)
        driver = w.driver(places=PLACES, watcher=libvirt)
        await driver.start()
        libvirt.refuses = True
        outcome = await w.supervisor(driver, 5.0).run(attach=True)
    assert outcome.fate is Fate.COMPLETED
    assert "nothing proves a switch: no libvirt answers" in w.notes


def test_a_uri_without_a_host_is_the_sources() -> None:
    assert uris("qemu:///system", "alpha", "beta") == ("qemu:///system", None)
    assert uris(TEMPLATE, "alpha", "") == ("qemu+ssh://alpha/system", None)
