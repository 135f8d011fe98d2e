"""Moves whose post-copy breaks: recovered at the libvirts beneath, and Nova follows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from postcopy.errors import UnavailableError
from postcopy.libvirt.rescue import Ways
from postcopy.migration.event import Recovered
from postcopy.migration.outcome import Fate
from postcopy.migration.phase import Phase
from postcopy.migration.recovery import Half
from postcopy.migration.sample import Sample
from postcopy.nova.beneath import Places
from postcopy.testing import FakeRescue

from .moves import World, world
from .test_watched import TEMPLATE, FakeLibvirt

P = Phase


class FakeHelp(FakeRescue):
    """The rescue of the world's server: once both sides are connected, its post-copy goes on."""

    def __init__(self, world: World, libvirt: FakeLibvirt, **more: Any) -> None:
        super().__init__(world.clock, **more)
        self.world = world
        self.libvirt = libvirt
        self.made: list[tuple[Any, ...]] = []
        self.fresh: list[bool] = []
        self.closed = self.prepared = 0
        self.ahead = [False] * 9
        """Whether QEMU goes on already when libvirt still calls it interrupted, the last first."""
        self.refuses = False
        self.at_end: Callable[[], None] = lambda: None
        """What happens once both sides are connected again."""

    def __call__(self, uuid: str, uris: tuple[str, str], ways: Ways, **more: Any) -> "FakeHelp":
        self.made.append((uuid, uris, more))
        return self

    async def open(self, *, fresh: bool) -> None:
        if self.refuses:
            raise UnavailableError("nobody is at home")
        self.fresh.append(fresh)

    async def prepare(self) -> None:
        self.prepared += 1

    async def sample(self, at: float) -> Sample | None:
        return Sample(at=at, phase=P.POSTCOPY, status="QEMU's") if self.ahead.pop() else None

    async def put_records_right(self) -> list[str]:
        return ["undefined at alpha"]

    async def close(self) -> None:
        self.closed += 1

    def interrupt(self) -> None:
        """Break the connection; libvirt says so at the source."""
        self.world.cloud.stuck = True
        self.libvirt.says = P.PAUSED
        self.cut(noticed=True)

    async def look(self) -> Any:
        self.world.cloud.live()
        look = await super().look()
        if self.world.cloud.stuck and look.source is Half.ACTIVE:
            self.world.cloud.stuck = False
            self.libvirt.says = None
            self.at_end()
        return look


async def ways(source: str, destination: str) -> Ways:
    assert (source, destination) == ("alpha", "beta")
    return Ways()


PLACES = Places(libvirt_uri=TEMPLATE, peer_uri="qemu+tcp://{host}/system", ways=ways)


def steps(w: World) -> str:
    return "\n".join(event.text for event in w.events if isinstance(event, Recovered))


async def test_recovered_by_itself_and_nova_finishes(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        libvirt = FakeLibvirt(w)
        help_ = FakeHelp(w, libvirt, outage_seconds=30.0)
        w.cloud.later.append((18.0, help_.interrupt))
        outcome = await w.move(switch_after=10.0, places=PLACES, watcher=libvirt, make_rescue=help_)
    assert (outcome.fate, outcome.recoveries) == (Fate.COMPLETED, 1)
    assert outcome.interrupted_seconds > 25
    assert w.phases == [
        *(P.SETUP, P.PRECOPY, P.POSTCOPY, P.PAUSED, P.RECOVERING, P.POSTCOPY, P.COMPLETED)
    ]  # fmt: skip
    assert "the path between them carries nothing" in steps(w)
    assert w.cloud.server is not None
    assert w.cloud.server["OS-EXT-SRV-ATTR:host"] == "beta"
    [(uuid, uris, more)] = help_.made
    assert (uuid, uris) == (
        w.cloud.server["id"], ("qemu+ssh://alpha/system", "qemu+ssh://beta/system"),
    )  # fmt: skip
    assert more["peer_uri"] == "qemu+tcp://beta/system"
    assert (help_.fresh, help_.prepared, help_.closed) == ([True], 1, 1)


async def test_what_qemu_has_taken_up_again_is_not_interrupted_once_more(tmp_path: Path) -> None:
    """libvirt's word is behind for a while: acted on, it would break a connection that is whole."""
    with world(tmp_path) as w:
        libvirt = FakeLibvirt(w)
        help_ = FakeHelp(w, libvirt)
        help_.ahead = [True, True, True]
        w.cloud.later += [
            (18.0, lambda: setattr(libvirt, "says", P.PAUSED)),
            (18.5, lambda: setattr(libvirt, "says", None)),
        ]
        outcome = await w.move(switch_after=10.0, places=PLACES, watcher=libvirt, make_rescue=help_)
    assert (outcome.fate, outcome.recoveries, help_.calls) == (Fate.COMPLETED, 0, [])


async def test_the_schedulers_choice_is_recovered_too(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        libvirt = FakeLibvirt(w)
        help_ = FakeHelp(w, libvirt)
        w.cloud.later.append((18.0, help_.interrupt))
        outcome = await w.move(
            switch_after=10.0, host=None, places=PLACES, watcher=libvirt, make_rescue=help_
        )
    assert (outcome.fate, outcome.recoveries) == (Fate.COMPLETED, 1)


async def test_while_libvirt_is_silent_nothing_is_taken_for_dead(tmp_path: Path) -> None:
    """In post-copy Nova has no figures: that they stand still is no sign of a cut."""
    with world(tmp_path) as w:
        libvirt = FakeLibvirt(w)
        help_ = FakeHelp(w, libvirt, blind=True)
        w.cloud.bandwidth /= 4
        w.cloud.later += [
            (15.0, lambda: setattr(libvirt, "silent", True)),
            (40.0, lambda: setattr(libvirt, "silent", False)),
        ]
        outcome = await w.move(switch_after=10.0, places=PLACES, watcher=libvirt, make_rescue=help_)
    assert (outcome.fate, outcome.recoveries) == (Fate.COMPLETED, 0)
    assert help_.calls == []


async def test_what_recovery_lacks_is_said_when_it_begins(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        libvirt = FakeLibvirt(w)
        help_ = FakeHelp(w, libvirt)
        help_.obstacles = "recovery would need a hand"
        await w.move(places=PLACES, watcher=libvirt, make_rescue=help_)
        assert "recovery would need a hand" in w.notes
        assert help_.calls == []


async def test_a_rescue_that_cannot_be_had_stops_no_migration(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        libvirt = FakeLibvirt(w)
        help_ = FakeHelp(w, libvirt)
        help_.refuses = True
        outcome = await w.move(places=PLACES, watcher=libvirt, make_rescue=help_)
    assert outcome.fate is Fate.COMPLETED
    assert "should it be interrupted, it is not recovered: nobody is at home" in w.notes


async def test_with_the_sources_libvirt_alone_nothing_is_recovered(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        libvirt = FakeLibvirt(w)
        help_ = FakeHelp(w, libvirt)
        places = Places(libvirt_uri="qemu:///system", ways=ways)
        await w.move(places=places, watcher=libvirt, make_rescue=help_)
    assert help_.made == []
    assert "only the source's libvirt is named" in w.notes


async def test_picked_up_and_recovered_by_another_process(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        libvirt = FakeLibvirt(w)
        help_ = FakeHelp(w, libvirt)
        first = w.driver(places=PLACES, watcher=libvirt, make_rescue=help_)
        await first.start()
        record = {**first.record(), "clouds_file": str(w.clouds_file)}
        await first.close()
        w.cloud.later.append((18.0, help_.interrupt))
        again = w.driver(places=PLACES, watcher=libvirt, make_rescue=help_)
        assert type(again).of_record(record).record() == record
        await again.adopt()
        outcome = await w.supervisor(again, 5.0).run(attach=True)
        await again.close()
    assert (outcome.fate, outcome.recoveries) == (Fate.COMPLETED, 1)
    assert help_.fresh == [True, False, False]
