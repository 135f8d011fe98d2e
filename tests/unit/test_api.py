import subprocess
import sys

import pytest

import postcopy
from postcopy.api import Migration
from postcopy.errors import NotFoundError, PostcopyError, UnavailableError, UsageError
from postcopy.migration import Fate, Journal
from postcopy.migration.event import Acted, Event
from postcopy.paths import state_dir
from postcopy.policy import Adaptive, Immediate, Precopy
from postcopy.testing import FakeDriver


def test_the_front_door_is_two_names_and_costs_nothing() -> None:
    assert postcopy.__all__ == ["__version__", "connect"]
    code = "import postcopy, sys; print([m for m in ('libvirt', 'asyncio') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    with pytest.raises(AttributeError, match="no attribute 'disconnect'"):
        _ = postcopy.disconnect


async def test_events_come_in_order_and_the_outcome_at_the_end() -> None:
    driver = FakeDriver()
    migration = Migration(driver, Adaptive(), clock=driver.clock)
    events: list[Event] = [event async for event in migration]
    outcome = await migration
    assert outcome.fate is Fate.COMPLETED
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert any(isinstance(event, Acted) for event in events)
    assert driver.calls[-1] == "close"


async def test_awaiting_alone_is_enough() -> None:
    assert (await Migration(FakeDriver(), Immediate())).fate is Fate.COMPLETED


async def test_leaving_the_iteration_stops_nothing() -> None:
    migration = Migration(FakeDriver(), Immediate())
    async for _ in migration:
        break
    assert (await migration).fate is Fate.COMPLETED


async def test_cancel_and_switch_by_hand() -> None:
    migration = Migration(FakeDriver(), Precopy())
    migration.cancel()
    assert (await migration).fate is Fate.CANCELLED
    migration = Migration(FakeDriver(), Precopy())
    migration.switch()
    assert (await migration).switched_at is not None


async def test_detaching_leaves_the_hypervisor_to_it() -> None:
    driver = FakeDriver()
    migration = Migration(driver, Precopy())
    async for _ in migration:
        break
    await migration.detach()
    assert "cancel" not in driver.calls
    assert driver.calls[-1] == "close"


async def test_errors_are_raised_to_whoever_iterates() -> None:
    migration = Migration(FakeDriver(refuse_switch=1000), Immediate())
    with pytest.raises(PostcopyError, match="not yet"):
        async for _ in migration:
            pass


async def test_a_host_that_does_not_answer_and_a_guest_that_is_not_there() -> None:
    with pytest.raises(UnavailableError, match="nowhere"):
        async with postcopy.connect("qemu+unix:///system?socket=/nowhere"):
            pass
    async with postcopy.connect("test:///default") as host:
        assert [guest.name for guest in await host.guests()] == ["test"]
        with pytest.raises(UsageError, match="sometimes"):
            host.guest("test").migrate("test:///default", policy="sometimes")
        with Journal(state_dir() / "journal.sqlite") as journal:
            migration = host.guest("ghost").migrate("test:///default", journal=journal)
            with pytest.raises(NotFoundError, match="no domain 'ghost'"):
                await migration
            [run] = journal.runs()
            assert run.outcome is not None
            assert run.outcome.fate is Fate.FAILED
            assert "ghost" in run.outcome.error
        with pytest.raises(UsageError, match="same host"):
            await host.guest("test").migrate("test:///default")
