"""What turns of work and rest agree with what was seen of a guest."""

from random import Random

import pytest

from postcopy.forecast.model import Bursts
from postcopy.forecast.turns import Turns, known, turns_of
from postcopy.plan.measured import windows


def looked(
    bursts: Bursts | None, lengths: tuple[float, ...] = windows(), least: float = 0.2
) -> Turns:
    """Look at a guest that is found at rest if it worked for less than the `least` part of a look.

    That is a third of one whose every page is another one, and next to nothing of one that comes
    round to the same pages all the time.
    """
    looks, at = [], 0.0
    for seconds in lengths:
        active = bursts.active_seconds(at, at + seconds) / seconds if bursts else 1.0
        looks.append((seconds, active < least))
        at += seconds
    return turns_of(looks)


def drawn(turns: Turns, many: int = 400) -> list[Bursts | None]:
    random = Random(1)
    return [turns.draw(random)[0] for _ in range(many)]


def test_what_is_drawn_agrees_with_what_was_there_nine_times_in_ten() -> None:
    random, held = Random(1), 0
    for number in range(100):
        period = 0.3 * 20 ** random.random()
        truth = Bursts(random.uniform(0.1, 0.9), period, random.uniform(0.0, period))
        turns = looked(truth, least=(number % 3 + 0.5) / 9)
        duties = sorted(1.0 if each is None else each.duty for each in drawn(turns))
        held += duties[20] <= truth.duty <= duties[379]
    assert held >= 82


def test_a_guest_whose_looks_tell_nothing_takes_turns_as_likely_as_not() -> None:
    turns = turns_of([(seconds, None) for seconds in windows()])
    assert drawn(turns).count(None) == pytest.approx(200, abs=30)


def test_a_guest_that_was_seen_at_work_all_the_time_rests_for_a_moment_if_at_all() -> None:
    found = drawn(looked(None))
    rests = [(1 - each.duty) * each.period_seconds for each in found if each is not None]
    assert found.count(None) > 200
    assert sorted(rests)[len(rests) // 2] < 0.5


def test_who_watches_for_long_knows_better_and_of_longer_turns() -> None:
    bursts = Bursts(0.5, 12.0, 1.0)
    duties = [
        sorted(each.duty for each in drawn(looked(bursts, lengths)) if each is not None)
        for lengths in (windows(), windows(48.0))
    ]
    spread = [each[-len(each) // 20] - each[len(each) // 20] for each in duties]
    assert spread[1] < 0.6 * spread[0]


def test_a_guest_that_is_known_to_work_all_the_time_takes_none() -> None:
    assert set(drawn(known(None))) == {None}
