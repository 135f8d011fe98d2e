"""Methods as people write them, fixed moments, and the end of patience."""

import pytest

from postcopy.bench.method import Method
from postcopy.bench.moment import Bounded, Moment
from postcopy.errors import UsageError
from postcopy.migration.decision import Action, History
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample
from postcopy.policy import Adaptive, Immediate, Nova, Precopy


def sample(at: float, remaining: int, number: int = 1, pass_ended: bool = False) -> Sample:
    return Sample(
        at=at,
        phase=Phase.PRECOPY,
        pass_number=number,
        pass_ended_at=at if pass_ended else None,
        total_bytes=1000,
        remaining_bytes=remaining,
    )


def actions(policy: Moment | Bounded, samples: list[Sample]) -> list[Action]:
    history = History(0.3)
    made = []
    for one in samples:
        history.add(one)
        made.append(policy.decide(history).action)
    return made


GOES_ON, SWITCH, CANCEL = Action.CONTINUE, Action.SWITCH, Action.CANCEL
TWO_PASSES = [
    sample(100.0, 1000),
    sample(101.0, 600),
    sample(102.0, 300),
    sample(103.0, 200, number=2, pass_ended=True),
    sample(104.0, 150, number=3, pass_ended=True),
]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (Moment(passes=1), [GOES_ON, GOES_ON, GOES_ON, SWITCH, SWITCH]),
        (Moment(passes=2), [GOES_ON, GOES_ON, GOES_ON, GOES_ON, SWITCH]),
        (Moment(sent=0.5), [GOES_ON, GOES_ON, SWITCH, SWITCH, SWITCH]),
        (Moment(seconds=1.5), [GOES_ON, GOES_ON, SWITCH, SWITCH, SWITCH]),
    ],
)
def test_a_moment_is_met_whatever_the_guest_does(moment: Moment, expected: list[Action]) -> None:
    assert actions(moment, TWO_PASSES) == expected


def test_patience_ends_and_a_switch_in_time_is_let_happen() -> None:
    assert actions(Bounded(Precopy(), 2.5), TWO_PASSES)[2:] == [GOES_ON, CANCEL, CANCEL]
    assert actions(Bounded(Moment(passes=1), 2.5), TWO_PASSES)[3] is SWITCH
    assert not Bounded(Precopy(), 1.0).uses_postcopy
    assert Bounded(Immediate(), 1.0).uses_postcopy


def test_methods_are_read_as_they_are_written() -> None:
    adaptive = Method.parse("adaptive:price=0.5  without preempt")
    assert adaptive.policy == Adaptive(price=0.5)
    assert not adaptive.preempt
    assert adaptive.text == "adaptive:price=0.5 without preempt"

    nova = Method.parse("nova:completion_timeout=15,timeout_action=force_complete")
    assert nova.policy == Nova(completion_timeout=15, timeout_action="force_complete")

    assert Method.parse("ovirt with auto-converge").auto_converge
    assert Method.parse("moment:sent=0.5").policy == Moment(sent=0.5)
    assert Method.parse("virsh:postcopy-after-precopy").virsh == (
        "--postcopy",
        "--postcopy-after-precopy",
    )
    assert Method.parse("virsh:timeout=4").virsh[-3:] == ("--timeout", "4", "--timeout-postcopy")


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("moment:passes=2", True),
        ("precopy", True),
        ("immediate", True),
        ("immediate without preempt", False),
        ("adaptive", False),
        ("virsh:timeout=3", False),
    ],
)
def test_the_oracle_is_looked_for_among_fixed_moments(text: str, fixed: bool) -> None:
    assert Method.parse(text).fixed is fixed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("adaptiv", "no policy 'adaptiv'"),
        ("moment", "not one moment"),
        ("moment:passes=1,sent=0.5", "not one moment"),
        ("moment:passes=0", "passes=0"),
        ("adaptive:price=-1", "price=-1"),
        ("precopy without preempt", "never switches"),
        ("virsh:now", "cannot be told 'now'"),
        ("virsh:timeout=0", "cannot be told 'timeout=0'"),
        ("virsh:timeout=3 without preempt", "called as it is"),
    ],
)
def test_nonsense_is_named(text: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        Method.parse(text)

    assert words in error.value.message
    assert error.value.hint


@pytest.mark.parametrize(
    ("text", "floor"),
    [
        ("virsh:timeout=3", "qemu"),
        ("ovirt with auto-converge", "qemu"),
        ("adaptive without preempt", "libvirt"),
    ],
)
def test_what_a_floor_cannot_is_known_beforehand(text: str, floor: str) -> None:
    method = Method.parse(text)
    other = "libvirt" if floor == "qemu" else "qemu"

    assert method.refusal(floor)
    assert method.refusal(other) is None
