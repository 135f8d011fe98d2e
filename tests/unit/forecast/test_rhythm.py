import math
from dataclasses import replace
from itertools import pairwise

import pytest

from postcopy.forecast.curve import Curve, HotSet
from postcopy.forecast.future import Future
from postcopy.forecast.model import Bursts, Guest
from postcopy.forecast.refit import view_of
from postcopy.forecast.rhythm import observed, rhythm_of
from postcopy.forecast.watching import LONGEST_SECONDS, SHORTEST_SECONDS, Watching, next_look
from postcopy.migration import History, Look, Phase, Sample

MB = 1_000_000


def looked(*dirtied: float, seconds: float = 1.0, before: float = 0.0) -> History:
    """A history of looks at a guest, one right after the other."""
    made = History(0.3)
    for number, each in enumerate(dirtied, start=1):
        at = before + number * seconds
        look = Look(at, seconds, each * MB)
        made.add(Sample(at=at, phase=Phase.PRECOPY, remaining_bytes=10**9, looks=(look,)))
    return made


def test_looks_that_find_far_less_than_others_are_rests() -> None:
    made = looked(*[100] * 10, *[0] * 5, *[90] * 10, *[1] * 5)
    rhythm = rhythm_of(made)
    assert rhythm is not None
    assert [each.busy for each in rhythm.spells] == [True, False, True, False]
    assert [each.begin for each in rhythm.spells] == [0, 10, 15, 25]
    assert rhythm.active(0, 30) == pytest.approx(20, abs=0.2)
    assert rhythm.active(11, 14) == pytest.approx(0, abs=0.05)


def test_one_that_rested_until_now_is_seen_to_have_when_it_begins_to_work() -> None:
    rhythm = rhythm_of(looked(*[2] * 6, *[100] * 4))
    assert rhythm is not None
    assert [each.busy for each in rhythm.spells] == [False, True]
    assert rhythm.idle == pytest.approx(0.02)


@pytest.mark.parametrize("dirtied", [[100] * 20, [100, 60] * 10, [0] * 20, []])
def test_a_guest_that_writes_evenly_takes_no_turns(dirtied: list[float]) -> None:
    assert rhythm_of(looked(*dirtied)) is None


def test_turns_as_short_as_looks_are_not_believed() -> None:
    assert rhythm_of(looked(*[100, 0, 100, 100, 0] * 5)) is None


def test_looks_of_other_lengths_are_compared_by_what_they_would_find_at_least() -> None:
    # In a quarter of the time a quarter is dirtied, at least: 30 MB is work, 5 MB is not.
    made = looked(*[100] * 8, seconds=4.0)
    for at, found in ((33, 30), (34, 30), (35, 5), (36, 5)):
        look = Look(at, 1.0, found * MB)
        made.add(Sample(at=at, phase=Phase.PRECOPY, remaining_bytes=10**9, looks=(look,)))
    rhythm = rhythm_of(made)
    assert rhythm is not None
    assert [(each.busy, each.begin) for each in rhythm.spells] == [(True, 0), (False, 34)]


def test_it_says_when_the_next_change_is_due() -> None:
    # It works for 10 s and rests for 5; the last rest has gone on for 2 s.
    made = looked(*[100] * 10, *[0] * 5, *[100] * 10, *[0] * 5, *[100] * 10, *[0] * 2)
    rhythm = rhythm_of(made)
    assert rhythm is not None
    futures = rhythm.futures(42.0)
    assert sum(weight for _, weight in futures) == pytest.approx(1)
    for future, _ in futures:
        assert not future.busy
        assert future.until_change == pytest.approx(3, abs=1.01)  # give or take a look
        assert (future.work_seconds, future.rest_seconds) in ((10, 5), (9, 6))


@pytest.mark.parametrize(("left", "busy"), [(100, True), (1, False)])
def test_what_no_look_has_seen_a_pass_may_show(left: int, busy: bool) -> None:
    # Looks have it at rest since 15 s. The pass that began then has ended half a second after the
    # last of them, and nearly all that it rewrites is dirty: it works again.
    made = looked(*[100] * 5, *[0] * 5, *[100] * 5)
    for at, number in ((15.0, 2), (20.5, 3)):
        if number == 3:
            for second in range(16, 21):
                look = Look(second, 1.0, 0)
                made.add(Sample(at=second, phase=Phase.PRECOPY, looks=(look,)))
        one = Sample(at=at, phase=Phase.PRECOPY, pass_number=number, pass_ended_at=at)
        made.add(replace(one, remaining_bytes=left * MB, transferred_bytes=number * MB))
    rhythm = rhythm_of(made, 20.5)
    assert rhythm is not None
    assert {future.busy for future, _ in rhythm.futures(20.5)} == {busy}
    assert rhythm.spells[-1].begin == (20.0 if busy else 15.0)


def test_a_spell_that_outlasts_all_before_it_may_never_end() -> None:
    made = looked(*[100] * 5, *[0] * 5, *[100] * 5, *[0] * 5, *[100] * 30)
    rhythm = rhythm_of(made)
    assert rhythm is not None
    futures = rhythm.futures(50.0)
    assert any(math.isinf(future.until_change) for future, _ in futures)
    # As likely as not it goes on for as long as it has, and it may be over soon.
    assert sum(weight for future, weight in futures if future.until_change >= 30) >= 0.5
    assert min(future.until_change for future, _ in futures) < 5


def test_later_turns_are_at_least_as_long_as_the_only_one_that_was_seen() -> None:
    # When the first rest began was not seen; the second has gone on for 6 s.
    rhythm = rhythm_of(looked(*[0] * 2, *[100] * 5, *[0] * 6))
    assert rhythm is not None
    for future, _ in rhythm.futures(13.0):
        assert not future.busy
        assert future.rest_seconds >= 6
        assert future.rest_seconds == pytest.approx(6 + future.until_change, abs=1.01)


def test_a_turn_that_lasts_longer_than_others_is_one_of_them() -> None:
    made = looked(*[100] * 5, *[0] * 5, *[100] * 5, *[0] * 5, *[100] * 5, *[0] * 30)
    rhythm = rhythm_of(made)
    assert rhythm is not None
    assert {future.rest_seconds for future, _ in rhythm.futures(55.0)} == {5}


def test_a_future_counts_the_time_at_work() -> None:
    future = Future(True, 4, 10, 5, 0.0)
    assert future.active(0, 4) == 4
    assert future.active(0, 9) == 4
    assert future.active(0, 24) == 14
    assert future.active(9, 12) == 3
    assert list(future.rests_end) == [9]
    resting = Future(False, 4, 10, 5, 0.1)
    assert resting.active(0, 4) == pytest.approx(0.4)
    assert resting.active(4, 14) == pytest.approx(10)
    assert resting.active(0, 19) == pytest.approx(10.9)
    assert list(resting.rests_end) == [4, 19]


def test_what_a_plan_saw_of_a_guest_at_rest_says_nothing_of_it_at_work() -> None:
    made = History(0.3, looks=((2.0, 1 * MB), (0.5, 60 * MB)))
    look = Look(1.0, 1.0, 100 * MB)
    made.add(Sample(at=1.0, phase=Phase.PRECOPY, remaining_bytes=10**9, looks=(look,)))
    assert [each.dirtied_bytes for each in observed(made)] == [60 * MB, 100 * MB]


def test_turns_that_the_passes_belie_are_forgotten() -> None:
    def moved(*left: float) -> History:
        # 10 s of work, 10 s of rest, and passes of 5 s each.
        made = looked(*([100] * 10 + [0] * 10) * 3)
        made.memory_bytes = 10**10
        sent = 0
        for number, each in enumerate(left):
            sent += 500 * MB
            made.add(
                Sample(
                    at=60.0 + 5 * number, phase=Phase.PRECOPY, pass_number=2 + number,
                    pass_ended_at=60.0 + 5 * number, total_bytes=10**10,
                    remaining_bytes=round(each * MB), transferred_bytes=sent, bandwidth=100e6,
                    looks=(Look(60.0 + 5 * number, 5.0, 500 * MB if number < 3 else 0),),
                )
            )  # fmt: skip
        return made

    believed = view_of(moved(500, 500, 500))
    assert believed is not None
    assert believed.futures
    belied = view_of(moved(500, 20, 10, 20))
    assert belied is not None
    assert not belied.futures


def test_looks_grow_and_none_takes_more_than_a_part_of_the_pass() -> None:
    seconds, lengths = 0.0, []
    for _ in range(12):
        seconds = next_look(100.0, seconds)
        lengths.append(seconds)
    assert lengths[:3] == [SHORTEST_SECONDS, 2 * SHORTEST_SECONDS, 4 * SHORTEST_SECONDS]
    assert lengths[-1] == 100 / 32
    assert next_look(1e6, 50.0) == LONGEST_SECONDS
    assert next_look(1.0, 0.0) == SHORTEST_SECONDS


def test_a_simulated_guest_is_seen_to_rest_when_it_does() -> None:
    guest = Guest(
        memory_bytes=1e10, content_bytes=1e10, dirty=Curve((HotSet(1e9, 1e9),)),
        bursts=Bursts(0.5, 40.0),
    )  # fmt: skip
    found = Watching(guest, 0.0).until(80.0, 32.0)
    assert found[-1].at <= 80.0
    assert all(after.at - before.at == after.seconds for before, after in pairwise(found))
    resting = [each for each in found if each.dirtied_bytes == 0]
    assert resting
    assert all(each.at % 40 > 20 or each.at % 40 == 0 for each in resting)
