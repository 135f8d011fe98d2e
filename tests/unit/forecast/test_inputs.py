from random import Random

import pytest

from postcopy.errors import UsageError
from postcopy.forecast.curve import Curve, HotSet, Observation
from postcopy.forecast.fit import fit
from postcopy.forecast.inputs import Dirtying, Inputs, Known

from .guests import GIB

MB = 1e6
LOOKS = (0.5, 0.5, 0.5, 1.0, 0.5, 2.0)


def looked(truth: Curve) -> list[Observation]:
    return [Observation(seconds, truth(seconds)) for seconds in LOOKS]


def expected(dirtying: Dirtying, seconds: float) -> float:
    return sum(weight * curve(seconds) for curve, weight in dirtying.curves)


@pytest.mark.parametrize(
    "truth",
    [
        Curve((HotSet(100 * MB, 2000 * MB),)),
        Curve((HotSet(400 * MB, 100 * MB),)),
        Curve((HotSet(50 * MB, 500 * MB), HotSet(5000 * MB, 20 * MB))),
    ],
)
def test_what_was_seen_is_what_is_expected(truth: Curve) -> None:
    dirtying = fit(looked(truth), 4 * GIB)
    for seconds in (0.5, 1.0, 2.0):
        assert expected(dirtying, seconds) == pytest.approx(truth(seconds), rel=0.2)
    # What was not seen lies between the bounds of what is possible.
    assert truth(2.0) * 0.9 < expected(dirtying, 20.0) <= truth(2.0) * 10
    assert dirtying.bursts is None


def test_a_guest_that_rests_is_told_from_one_that_does_not() -> None:
    found = ((0.5, 100), (0.5, 0), (0.5, 0), (1.0, 120), (0.5, 1), (2.0, 130))
    seen = [Observation(seconds, mb * MB) for seconds, mb in found]
    dirtying = fit(seen, 4 * GIB, MB)
    assert dirtying.bursts is not None
    # 3 of 4 looks of half a second; 1 s and 0.5 s of rest.
    assert dirtying.bursts.duty == pytest.approx(0.25, abs=0.1)
    rest = 1 - dirtying.bursts.duty
    assert rest * dirtying.bursts.period_seconds == pytest.approx(0.75, abs=0.5)
    assert f"rests for {rest:.0%}" in dirtying.notes[0]


def test_measurements_that_contradict_each_other_widen_what_is_expected() -> None:
    seen = [Observation(0.5, 100 * MB), Observation(1.0, 100 * MB), Observation(2.0, 10 * MB)]
    dirtying = fit(seen, 4 * GIB, MB)
    assert dirtying.factor == pytest.approx(10.0)
    assert any("contradict" in note for note in dirtying.notes)


def test_an_idle_guest_is_known_up_to_what_could_be_seen() -> None:
    dirtying = fit([Observation(seconds, 0.0) for seconds in LOOKS], 4 * GIB, MB)
    assert expected(dirtying, 2.0) <= MB
    assert any("dirties less than" in note for note in dirtying.notes)
    with pytest.raises(UsageError, match="nothing was measured"):
        fit([], GIB)


def test_draws_keep_to_what_is_known() -> None:
    random = Random(1)
    draws = sorted(Known(100.0, 2.0).draw(random) for _ in range(2000))
    assert draws[100] == pytest.approx(50, rel=0.1)
    assert draws[1000] == pytest.approx(100, rel=0.1)
    assert draws[1900] == pytest.approx(200, rel=0.1)
    assert Known(5.0).draw(random) == 5.0


def inputs(**changes: object) -> Inputs:
    given: dict[str, object] = {
        "memory_bytes": GIB,
        "content": Known(2.0 * GIB, 1.1),
        "dirtying": Dirtying(((Curve((HotSet(3.0 * GIB, 1e9),)), 1.0),)),
        "bandwidth": Known(1e9),
    }
    return Inputs(**{**given, **changes})  # type: ignore[arg-type]  # wrong on purpose


def test_no_world_has_more_content_than_memory_or_hot_sets_than_content() -> None:
    scenario = inputs().draw(Random(1))
    assert scenario.guest.content_bytes == GIB
    assert scenario.guest.dirty.size_bytes == pytest.approx(GIB)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"memory_bytes": 0}, "without memory"),
        ({"bandwidth": Known(0.0)}, "moves nothing"),
        ({"downtime_limit": 0.0}, "downtime limit"),
        ({"downtime_limit": float("nan")}, "downtime limit"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        inputs(**changes)
