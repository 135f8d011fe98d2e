"""Looks at a guest during its migration, over a scripted QMP."""

from pathlib import Path
from typing import Any

import pytest

from postcopy.migration import Look, Phase, Sample
from postcopy.qemu.looking import Looking
from postcopy.qemu.monitor import Monitor
from postcopy.testing import FakeClock, ScriptedError, ScriptedQmp

GIB, MIB = 1 << 30, 1 << 20


def sample(at: float, phase: Phase = Phase.PRECOPY) -> Sample:
    return Sample(
        at=at, phase=phase, total_bytes=GIB, remaining_bytes=32 * 100 * MIB, bandwidth=100.0 * MIB
    )


def replies(**changes: Any) -> dict[str, Any]:
    rate = {"status": "measured", "dirty-rate": 40, "calc-time-unit": "second"}
    given = {name.replace("_", "-"): value for name, value in changes.items()}
    return {"calc-dirty-rate": {}, "query-dirty-rate": rate, **given}


async def follow(path: Path, answers: dict[str, Any], seconds: float, phase: Phase) -> Any:
    clock = FakeClock()
    async with ScriptedQmp(path / "qmp", answers) as server:
        monitor = Monitor(server.path, "alpha")
        await monitor.connect()
        looking = Looking(monitor, clock)
        found: list[Look] = []
        for _ in range(round(seconds / 0.1)):
            await looking.go_on(sample(clock.now(), phase))
            await clock.sleep(0.1)
            found += looking.take()
        await monitor.close()
        asked = [a for c, a in zip(server.commands, server.arguments, strict=True)
                 if c == "calc-dirty-rate"]  # fmt: skip
    return found, asked


async def test_one_look_follows_the_other_and_each_is_longer_than_the_last(tmp_path: Path) -> None:
    found, asked = await follow(tmp_path, replies(), 6.0, Phase.PRECOPY)
    assert {each["mode"] for each in asked} == {"page-sampling"}
    # A pass of 32 s: looks of up to a second.
    assert [each["calc-time"] for each in asked[:4]] == [250, 500, 1000, 1000]
    assert [each.seconds for each in found[:4]] == [0.25, 0.5, 1.0, 1.0]
    assert found[2].dirtied_bytes == pytest.approx(40.5 * MIB)
    assert found[1].at == pytest.approx(found[0].at + 0.5, abs=0.11)


async def test_a_qemu_that_measures_whole_seconds_is_asked_for_those(tmp_path: Path) -> None:
    old = replies(query_dirty_rate={"status": "measured", "dirty-rate": 40})
    _, asked = await follow(tmp_path, old, 4.0, Phase.PRECOPY)
    assert {each["calc-time"] for each in asked} == {1}
    assert "calc-time-unit" not in asked[0]


@pytest.mark.parametrize(
    "refusal",
    [
        {"calc_dirty_rate": ScriptedError("GenericError", "the dirty rate is measured already")},
        {"query_dirty_rate": {"status": "measuring", "calc-time-unit": "second"}},
    ],
)
async def test_a_qemu_that_refuses_or_is_silent_is_left_alone(
    tmp_path: Path, refusal: dict[str, Any]
) -> None:
    found, asked = await follow(tmp_path, replies(**refusal), 20.0, Phase.PRECOPY)
    assert found == []
    assert len(asked) == 1


async def test_nothing_is_looked_at_in_postcopy(tmp_path: Path) -> None:
    assert await follow(tmp_path, replies(), 2.0, Phase.POSTCOPY) == ([], [])
