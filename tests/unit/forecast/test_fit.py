"""What several looks say of a guest, and what they leave open."""

import math
from random import Random

import pytest

from postcopy.forecast.curve import Curve, HotSet, Observation
from postcopy.forecast.fit import fit
from postcopy.forecast.model import Bursts
from postcopy.plan.measured import WATCH_SECONDS, sampled, windows

from .guests import GIB, MIB

MB = 1e6
SAMPLE = 64 * 1024


def watched(
    truth: Curve, seed: int = 1, bursts: Bursts | None = None, watch: float = WATCH_SECONDS
) -> list[Observation]:
    """Look as page sampling does: by chance, and cut off to whole MiB a second."""
    random = Random(seed)
    seen, at = [], 0.0
    for seconds in windows(watch):
        active = bursts.active_seconds(at, at + seconds) if bursts else seconds
        dirtied = truth(active)
        found = max(0.0, random.gauss(dirtied, math.sqrt(dirtied * SAMPLE)))
        seen.append(sampled(seconds, int(found / seconds / MIB), SAMPLE))
        at += seconds
    return seen


TRUTHS = {
    "flat out": Curve((HotSet(100 * MB, 2000 * MB),)),
    "not yet round": Curve((HotSet(160 * MB, 95 * MB),)),
    "slow": Curve((HotSet(120 * MB, 5 * MB),)),
    "sweep": Curve((HotSet(80 * MB, 60 * MB, sequential=True),)),
    "fast and small": Curve((HotSet(22 * MB, 74 * MB),)),
}


@pytest.mark.parametrize("truth", TRUTHS.values(), ids=list(TRUTHS))
def test_what_is_drawn_agrees_with_what_was_there_nine_times_in_ten(truth: Curve) -> None:
    fits = [fit(watched(truth, seed), 4 * GIB, MB) for seed in range(15)]
    random = Random(1)
    for seconds in (0.05, 0.2, 1.0, 2.0):
        held = 0
        for dirtying in fits:
            draws = sorted(dirtying.draw(random)[0](seconds) for _ in range(60))
            held += draws[2] * 0.97 <= truth(seconds) <= draws[57] * 1.03
        assert held >= 12, (seconds, held)


def test_a_working_set_that_ended_is_known_for_good() -> None:
    dirtying = fit(watched(TRUTHS["flat out"]), 4 * GIB, MB)
    random = Random(1)
    drawn = [dirtying.draw(random) for _ in range(1000)]
    later = sorted(curve(60.0 * (bursts.duty if bursts else 1.0)) for curve, bursts in drawn)
    assert later[50] > 90 * MB
    assert later[949] < 125 * MB


def test_one_that_has_not_ended_may_be_anything_up_to_the_memory() -> None:
    truth = Curve((HotSet(3000 * MB, 30 * MB),))
    dirtying = fit(watched(truth), 4 * GIB, MB)
    random = Random(1)
    later = sorted(dirtying.draw(random)[0](1000.0) for _ in range(200))
    assert later[189] > 5 * later[10]
    assert later[-1] <= 4 * GIB * 1.2


def test_what_looks_could_hardly_see_does_not_contradict_anything() -> None:
    seen = [sampled(0.5, 1, SAMPLE), sampled(2.0, 0, SAMPLE), sampled(0.1, 5, SAMPLE)]
    assert not any("contradict" in note for note in fit(seen, GIB, MIB).notes)


@pytest.mark.parametrize("period", [3.0, 8.0])
def test_who_watches_for_long_sees_long_rests(period: float) -> None:
    bursts = Bursts(0.5, period)
    seen = watched(TRUTHS["flat out"], bursts=bursts, watch=4 * period)
    found = fit(seen, 4 * GIB, MB).bursts
    assert found is not None
    assert found.duty == pytest.approx(0.5, abs=0.15)
    assert found.period_seconds == pytest.approx(period, rel=0.35)


def test_policies_are_told_the_mean_of_looks_of_one_length_at_work() -> None:
    dirtying = fit(watched(TRUTHS["slow"]), 4 * GIB, MB)
    lengths = [look.seconds for look in dirtying.looks]
    assert lengths == sorted(set(windows()))


@pytest.mark.parametrize("truth", TRUTHS.values(), ids=list(TRUTHS))
def test_a_guest_that_never_rests_is_not_said_to(truth: Curve) -> None:
    assert not any(fit(watched(truth, seed), 4 * GIB, MB).bursts for seed in range(40))


@pytest.mark.parametrize(("duty", "period"), [(0.2, 4.0), (0.3, 2.0), (0.5, 2.0), (0.3, 1.0)])
def test_rests_are_seen_whenever_the_looks_begin(duty: float, period: float) -> None:
    """One look at work, of whatever length, is enough to tell that the others met a rest."""
    truth = TRUTHS["fast and small"]
    duties = []
    for begin in range(20):
        bursts = Bursts(duty, period, offset_seconds=begin / 20 * period)
        found = fit(watched(truth, begin, bursts), 4 * GIB, MB).bursts
        duties.append(found.duty if found is not None else 1.0)
    assert duties.count(1.0) <= 1
    assert sum(duties) / len(duties) == pytest.approx(duty, abs=0.25)


def test_rests_that_looks_would_not_have_met_are_possible_and_others_are_not() -> None:
    # Half a second is the shortest look that tells work from rest.
    seen = [
        Observation(each.seconds, 3 * MB * each.seconds, MB / 5) for each in watched(TRUTHS["slow"])
    ]
    known = fit(seen, 4 * GIB, MB / 3)
    assert known.bursts is None
    assert not any("whether it rests" in note for note in known.notes)
    random = Random(1)
    turns = [bursts for _, bursts in (known.draw(random) for _ in range(400)) if bursts is not None]
    assert 60 < len(turns) < 240
    rests = sorted((1 - each.duty) * each.period_seconds for each in turns)
    assert rests[len(rests) * 9 // 10] < 1.5  # most of the longest look


def test_a_look_that_finds_nothing_is_not_taken_to_say_that_there_was_nothing() -> None:
    found = fit([Observation(2.0, 0.0, MB), Observation(0.5, 0.8 * MB, MB / 4)], GIB, MB / 15)
    random = Random(1)
    later = sorted(found.draw(random)[0](10.0) for _ in range(200))
    assert later[100] > 0.7 * MB


def test_of_a_guest_that_dirties_too_little_to_see_rests_either_is_possible() -> None:
    looks = watched(TRUTHS["slow"])
    seen = [Observation(each.seconds, 4 * MB * each.seconds, MB) for each in looks]
    unsure = fit(seen, 4 * GIB, 2 * MB)
    assert any("whether it rests" in note for note in unsure.notes)
    random = Random(1)
    drawn = [unsure.draw(random) for _ in range(200)]
    assert 60 < sum(bursts is None for _, bursts in drawn) < 140
    # It dirties in its bursts what was seen in the mean.
    much = sorted(curve(2.0 * bursts.duty) for curve, bursts in drawn if bursts is not None)
    assert much[len(much) // 2] == pytest.approx(8 * MB, rel=0.3)
