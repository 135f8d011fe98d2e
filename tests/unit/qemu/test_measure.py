"""Measuring a guest over a scripted QMP."""

from pathlib import Path
from typing import Any

import pytest

from postcopy.errors import RefusedError, UnavailableError
from postcopy.qemu.measure import measure
from postcopy.testing import FakeClock, ScriptedQmp

GIB = 1 << 30


def replies(**changes: Any) -> dict[str, Any]:
    rate = {"status": "measured", "dirty-rate": 40, "calc-time": 1, "calc-time-unit": "second"}
    return {
        "query-status": {"status": "running"},
        "query-migrate": {},
        "query-memory-size-summary": {"base-memory": GIB, "plugged-memory": GIB},
        "calc-dirty-rate": {},
        "query-dirty-rate": rate,
        "query-migrate-capabilities": [
            {"capability": "postcopy-ram", "state": False},
            {"capability": "multifd", "state": False},
        ],
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }


async def test_a_guest_is_looked_at_several_times_by_page_sampling(tmp_path: Path) -> None:
    async with ScriptedQmp(tmp_path / "qmp", replies()) as server:
        found = await measure(server.path, "web1", clock=FakeClock())
    asked = [a for c, a in zip(server.commands, server.arguments, strict=True)
             if c == "calc-dirty-rate"]  # fmt: skip
    assert {each["mode"] for each in asked} == {"page-sampling"}
    assert asked[0]["calc-time-unit"] == "millisecond"
    assert asked[0]["calc-time"] == 2000
    assert min(each["calc-time"] for each in asked) < 500
    assert found.memory_bytes == 2 * GIB
    # The rate is cut off to whole MiB: half a MiB more, give or take.
    assert len(found.seen) == len(asked)
    assert {round(o.dirtied_bytes / o.seconds) for o in found.seen} == {round(40.5 * 2**20)}
    assert all(o.error_bytes > 0.25 * 2**20 * o.seconds for o in found.seen)
    assert found.offers.multifd
    assert not found.offers.preempt
    # A scripted QMP has no memory of that size: nobody knows how much is in use.
    assert found.content.factor > 1.2
    assert "not known" in found.notes[0]


async def test_an_older_qemu_is_asked_for_whole_seconds(tmp_path: Path) -> None:
    old = {"status": "measured", "dirty-rate": 3, "calc-time": 1}
    async with ScriptedQmp(tmp_path / "qmp", replies(query_dirty_rate=old)) as server:
        found = await measure(server.path, "web1", clock=FakeClock())
    assert all(each.seconds >= 1 for each in found.seen)
    assert "calc-time-unit" not in next(a for a in server.arguments if "calc-time" in a)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"query_status": {"status": "paused"}}, "is paused, not running"),
        ({"query_migrate": {"status": "active"}}, "is being migrated"),
    ],
)
async def test_what_cannot_be_measured_is_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    async with ScriptedQmp(tmp_path / "qmp", replies(**changes)) as server:
        with pytest.raises(RefusedError, match=said):
            await measure(server.path, "web1", clock=FakeClock())
    assert "calc-dirty-rate" not in server.commands


async def test_a_guest_that_dies_while_it_is_measured(tmp_path: Path) -> None:
    def die(arguments: dict[str, Any]) -> dict[str, Any]:
        server.hang_up()
        return {}

    async with ScriptedQmp(tmp_path / "qmp", replies(calc_dirty_rate=die)) as server:
        with pytest.raises(UnavailableError, match="could not be measured to the end"):
            await measure(server.path, "web1", clock=FakeClock())


async def test_a_measurement_that_never_ends_is_given_up(tmp_path: Path) -> None:
    busy = {"status": "measuring", "calc-time": 1, "calc-time-unit": "second"}
    async with ScriptedQmp(tmp_path / "qmp", replies(query_dirty_rate=busy)) as server:
        with pytest.raises(UnavailableError, match="has not measured the dirty rate"):
            await measure(server.path, "web1", clock=FakeClock())


async def test_looks_that_there_is_no_time_for_are_left_out(tmp_path: Path) -> None:
    left = 0

    def ask(arguments: dict[str, Any]) -> dict[str, Any]:
        nonlocal left
        left = 100
        return {}

    def answer(arguments: dict[str, Any]) -> dict[str, Any]:
        # Of a guest of many TiB, the samples alone take seconds to read.
        nonlocal left
        left -= 1
        status = "measured" if left < 0 else "measuring"
        return {"status": status, "dirty-rate": 40, "calc-time-unit": "second"}

    answers = replies(calc_dirty_rate=ask, query_dirty_rate=answer)
    async with ScriptedQmp(tmp_path / "qmp", answers) as server:
        found = await measure(server.path, "web1", clock=FakeClock())
    assert found.seen[0].seconds == 2.0  # the one that is worth most
    assert 1 <= len(found.seen) < 4
