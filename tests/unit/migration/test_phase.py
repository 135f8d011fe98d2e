import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.migration.phase import IllegalTransitionError, Phase, PhaseTracker

phases = st.lists(st.sampled_from(Phase), max_size=30)


@given(phases)
def test_no_sequence_of_reports_reaches_an_illegal_state(reports: list[Phase]) -> None:
    tracker = PhaseTracker()
    history = [tracker.phase]
    for report in reports:
        try:
            tracker.observe(report)
        except IllegalTransitionError:
            assert tracker.phase is history[-1]
        history.append(tracker.phase)
    for before, after in itertools.pairwise(history):
        if before.terminal:
            assert after is before
    known = [phase for phase in history if phase is not Phase.UNKNOWN]
    for index, phase in enumerate(known):
        if phase.spread:
            assert not {Phase.SETUP, Phase.PRECOPY, Phase.CANCELLED} & set(known[index:])


@pytest.mark.parametrize("phase", [Phase.POSTCOPY, Phase.PAUSED, Phase.RECOVERING])
def test_a_spread_guest_cannot_be_cancelled(phase: Phase) -> None:
    assert phase.spread
    assert Phase.CANCELLED not in phase.reachable()
    assert Phase.PRECOPY not in phase.reachable()


def test_phases_between_two_samples_may_be_missed() -> None:
    tracker = PhaseTracker()
    assert tracker.observe(Phase.POSTCOPY)
    assert tracker.observe(Phase.COMPLETED)
    assert not tracker.observe(Phase.COMPLETED)


def test_a_failed_look_does_not_wipe_out_what_was_known() -> None:
    tracker = PhaseTracker(Phase.POSTCOPY)
    tracker.observe(Phase.UNKNOWN)
    with pytest.raises(IllegalTransitionError) as caught:
        tracker.observe(Phase.PRECOPY)
    assert caught.value.before is Phase.POSTCOPY
    assert tracker.observe(Phase.POSTCOPY)
