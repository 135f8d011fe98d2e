"""When a guest's requests for pages are made to go out at once, and when nobody asks for that."""

import pytest

from postcopy.errors import UnavailableError
from postcopy.migration import Fate, Supervisor
from postcopy.migration.event import Event, Noted
from postcopy.policy import Immediate, Precopy
from postcopy.testing import FakeDriver, FakeGuest, FakeRescue
from postcopy.testing.clock import FakeClock


async def move(rescue: FakeRescue, *, breaks: int = 0, noticed: bool = True) -> list[str]:
    """Move a guest to its end, and return what there was to say."""
    notes: list[str] = []

    def observe(event: Event) -> None:
        if isinstance(event, Noted):
            notes.append(event.text)

    driver = FakeDriver(
        clock=rescue.clock,
        rescue=rescue,
        break_after=0.3 if breaks else None,
        breaks=breaks,
        noticed=noticed,
    )
    outcome = await Supervisor(driver, Immediate(), observe=observe, clock=driver.clock).run()
    assert outcome.fate is Fate.COMPLETED
    return notes


@pytest.mark.parametrize(("breaks", "noticed"), [(0, True), (2, True), (2, False)])
async def test_it_is_asked_for_once_for_each_connection(breaks: int, noticed: bool) -> None:
    rescue = FakeRescue(FakeClock(), outage_seconds=3.0)
    await move(rescue, breaks=breaks, noticed=noticed)
    assert rescue.hastened == 1 + breaks


async def test_a_guest_that_is_not_to_be_switched_needs_no_haste() -> None:
    rescue = FakeRescue(FakeClock())
    driver = FakeDriver(FakeGuest(write_rate=2e6), rescue.clock, rescue=rescue)
    outcome = await Supervisor(driver, Precopy(), clock=driver.clock).run()
    assert (outcome.fate, rescue.hastened) == (Fate.COMPLETED, 0)


async def test_where_no_connection_is_seen_it_is_asked_for_again_but_not_for_ever() -> None:
    rescue = FakeRescue(FakeClock())
    rescue.connections = 0
    await move(rescue)
    assert rescue.hastened == 3


async def test_where_it_cannot_be_done_the_guest_moves_all_the_same_and_that_is_said_once() -> None:
    rescue = FakeRescue(FakeClock())
    rescue.connections = UnavailableError("host beta does not let its QEMU's connections be set")
    [said] = [note for note in await move(rescue, breaks=1) if "connections" in note]
    assert said.startswith("requests for missing pages wait for each other: host beta")
