"""How soon a cut was noticed and undone, from a journal."""

import pytest

from postcopy.bench.faults.evidence import Mark
from postcopy.bench.faults.model import Fault, Kind, Moment, Side
from postcopy.bench.faults.timings import Event, timings
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample

FAULT = Fault(kind=Kind.DROP, moment=Moment.POSTCOPY, after=1.0, seconds=3.0)


def sample(at: float, phase: Phase, sent: int) -> Sample:
    return Sample(at=at, phase=phase, transferred_bytes=sent)


def journey(cut: float, back: float, noticed: float | None = None) -> list[Sample]:
    """Return samples of a post-copy from 1 to 10 s that sends nothing between two moments."""
    samples, sent = [sample(0.0, Phase.PRECOPY, 0)], 0
    for step in range(10, 101):
        at = step / 10
        still = cut <= at < back
        sent += 0 if still else 100
        paused = noticed is not None and noticed <= at < back
        samples.append(sample(at, Phase.PAUSED if paused else Phase.POSTCOPY, sent))
    return [*samples, sample(10.1, Phase.COMPLETED, sent)]


def interrupted(at: float) -> list[Event]:
    return [
        (at, "Recovered", "recovery: interrupted: nothing sent for 1.00 s"),
        (at, "PhaseChanged", "postcopy -> paused"),
        (at, "Recovered", "recovery: break off both sides: source active, destination active"),
    ]


def test_a_cut_that_was_noticed_and_undone() -> None:
    samples = journey(2.0, 5.4, noticed=3.5)
    [found], false = timings(samples, interrupted(3.5), [Mark(FAULT, 2.0, 5.0)])
    assert found.noticed_seconds == pytest.approx(1.5)
    assert found.back_seconds == pytest.approx(0.4)
    assert found.kind is Kind.DROP
    assert false == 0


def test_a_cut_that_healed_before_anybody_had_to_notice() -> None:
    [found], _ = timings(journey(2.0, 2.8), [], [Mark(FAULT, 2.0, 2.5)])
    assert found.noticed_seconds is None
    assert found.back_seconds == pytest.approx(0.3)


def test_a_source_that_noticed_late_is_not_back_before() -> None:
    """A reset is over at once; what was sent before it was noticed is no sign of life."""
    samples = journey(2.5, 4.0, noticed=2.5)
    [found], _ = timings(samples, interrupted(2.5), [Mark(FAULT, 2.0, 2.0)])
    assert found.back_seconds == pytest.approx(2.0)


def test_a_cut_before_post_copy_and_one_after_the_end_cost_nothing() -> None:
    marks = [Mark(FAULT, 0.5, 0.9), Mark(FAULT, 11.0, 12.0), Mark(FAULT)]
    assert timings(journey(99, 99), [], marks) == ([], 0)


def test_two_cuts_are_told_apart() -> None:
    samples = journey(2.0, 5.4, noticed=3.5)[:60] + journey(6.0, 8.2, noticed=7.2)[60:]
    events = [*interrupted(3.5), *interrupted(7.2)]
    first, second = timings(samples, events, [Mark(FAULT, 2.0, 5.0), Mark(FAULT, 6.0, 8.0)])[0]
    assert first.noticed_seconds == pytest.approx(1.5)
    assert second.noticed_seconds == pytest.approx(1.2)
    assert second.back_seconds == pytest.approx(0.2)


def test_an_alarm_that_no_cut_explains_is_false_if_it_did_something() -> None:
    slow = Fault(kind=Kind.SLOW, moment=Moment.POSTCOPY, after=1.0, seconds=3.0)
    marks = [Mark(slow, 2.0, 5.0)]
    assert timings(journey(99, 99), interrupted(3.5), marks) == ([], 1)
    assert timings(journey(99, 99), interrupted(3.5)[:2], marks) == ([], 0)


def test_what_a_killed_command_did_not_see_is_not_made_up() -> None:
    samples = [one for one in journey(2.0, 5.4) if one.at < 3.0]
    samples.append(sample(9.0, Phase.PAUSED, samples[-1].transferred_bytes))
    [found], _ = timings(samples, [], [Mark(FAULT, 2.0, 5.0)])
    assert found.back_seconds is None


@pytest.mark.parametrize(
    "blinding",
    [
        Fault(kind=Kind.CLIENT, moment=Moment.POSTCOPY, after=0.0, seconds=1.0),
        Fault(kind=Kind.MONITOR, moment=Moment.POSTCOPY, after=0.0, seconds=1.0, side=Side.SOURCE),
    ],
    ids=["killed", "stopped"],
)
def test_what_nobody_could_see_all_of_is_no_figure(blinding: Fault) -> None:
    samples, events = journey(2.0, 5.4, noticed=3.5), interrupted(3.5)
    cut = Mark(FAULT, 2.0, 5.0)
    [early], _ = timings(samples, events, [cut, Mark(blinding, 2.5, 3.0)])
    assert early.noticed_seconds is None
    assert early.back_seconds == pytest.approx(0.4)
    [late], _ = timings(samples, events, [cut, Mark(blinding, 4.0, 5.1)])
    assert late.noticed_seconds == pytest.approx(1.5)
    assert late.back_seconds is None
