"""When a fault is due is known from what ``postcopy migrate`` says, in the words of its events."""

import asyncio

import pytest

from postcopy.bench.faults.cues import Cues, moments_in
from postcopy.bench.faults.model import Moment
from postcopy.migration.decision import Action
from postcopy.migration.event import Acted, Event, PhaseChanged, Recovered
from postcopy.migration.phase import Phase
from postcopy.migration.recovery import Ending, Step

IN_POSTCOPY = (Moment.EARLY, Moment.POSTCOPY)


@pytest.mark.parametrize(
    ("event", "moments"),
    [
        (PhaseChanged(0.0, Phase.SETUP, Phase.PRECOPY), (Moment.PRECOPY,)),
        (Acted(0.0, Action.SWITCH, 0.01), (Moment.SWITCH,)),
        (Acted(0.0, Action.SWITCH), (Moment.SWITCH,)),
        (Acted(0.0, Action.CANCEL), ()),
        (PhaseChanged(0.0, Phase.PRECOPY, Phase.POSTCOPY), IN_POSTCOPY),
        (PhaseChanged(0.0, Phase.SWITCHOVER, Phase.POSTCOPY), IN_POSTCOPY),
        (PhaseChanged(0.0, Phase.RECOVERING, Phase.POSTCOPY), ()),
        (PhaseChanged(0.0, Phase.PAUSED, Phase.POSTCOPY), ()),
        (PhaseChanged(0.0, Phase.POSTCOPY, Phase.PAUSED), ()),
        (Recovered(0.0, f"{Step.CONNECT}: both sides are paused"), (Moment.RECOVERY,)),
        (Recovered(0.0, f"{Ending.RECOVERED}: the migration goes on"), (Moment.AGAIN,)),
        (Recovered(0.0, "not connected: too early"), ()),
    ],
)
def test_what_is_told_announces_moments(event: Event, moments: tuple[Moment, ...]) -> None:
    assert moments_in(f"[   0.29 s] guest -> beta: {event.text}") == moments


async def test_a_moment_is_waited_for() -> None:
    cues = Cues()
    waiting = asyncio.create_task(cues.wait(Moment.SWITCH))
    await asyncio.sleep(0)
    assert not waiting.done()
    cues.hear("guest -> beta: switch acknowledged")
    at = await waiting
    assert cues.first(Moment.SWITCH) == at
    assert cues.first(Moment.POSTCOPY) is None


async def test_a_moment_that_came_before_is_not_the_one_meant() -> None:
    cues = Cues(now=iter([10.0, 12.0]).__next__)
    cues.come(Moment.RECOVERY)
    assert await cues.wait(Moment.RECOVERY) == 10.0
    waiting = asyncio.create_task(cues.wait(Moment.RECOVERY, 11.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    cues.come(Moment.RECOVERY)
    assert await waiting == 12.0
