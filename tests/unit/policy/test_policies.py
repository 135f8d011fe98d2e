import pytest

from postcopy.errors import UsageError
from postcopy.migration import Action, Decision, History, Phase, Policy, Sample
from postcopy.policy import (
    POLICIES,
    Adaptive,
    AfterFirstPass,
    Immediate,
    Nova,
    Precopy,
    find,
    spec_of,
)

BANDWIDTH = 100e6


def history(*left_after_pass: int, downtime_limit: float = 0.3, then: float = 0.0) -> History:
    """A guest of 500 MB whose passes ended with that much left; `then` s into the next pass."""
    made = History(downtime_limit)
    at, sent, to_send = 0.0, 0, 500_000_000
    made.add(Sample(at=at, phase=Phase.PRECOPY, pass_number=1, remaining_bytes=to_send))
    for number, left in enumerate(left_after_pass, start=2):
        at, sent = at + to_send / BANDWIDTH, sent + to_send
        to_send = left
        made.add(
            Sample(
                at=at,
                phase=Phase.PRECOPY,
                pass_number=number,
                pass_ended_at=at,
                remaining_bytes=left,
                transferred_bytes=sent,
            )
        )
    if then:
        made.add(
            Sample(
                at=at + then,
                phase=Phase.PRECOPY,
                pass_number=len(left_after_pass) + 1,
                remaining_bytes=round(to_send - then * BANDWIDTH),
            )
        )
    return made


def action(policy: Policy, made: History) -> Action:
    decision = policy.decide(made)
    assert isinstance(decision, Decision)
    assert decision.reason
    return decision.action


def test_precopy_never_switches() -> None:
    assert action(Precopy(), history(*[90_000_000] * 50)) is Action.CONTINUE
    assert not Precopy().uses_postcopy


def test_precopy_gives_up_after_passes_in_a_row_without_progress() -> None:
    policy = Precopy(give_up_after=2)
    assert action(policy, history(90_000_000, 89_000_000)) is Action.CONTINUE
    assert action(policy, history(90_000_000, 89_000_000, 90_000_000)) is Action.CANCEL
    assert action(policy, history(90_000_000, 89_000_000, 60_000_000)) is Action.CONTINUE


def test_immediate_switches_before_anything_is_sent() -> None:
    assert action(Immediate(), history()) is Action.SWITCH


def test_after_first_pass_waits_for_exactly_that() -> None:
    assert action(AfterFirstPass(), history(then=1.0)) is Action.CONTINUE
    assert action(AfterFirstPass(), history(90_000_000)) is Action.SWITCH


def test_after_first_pass_switches_when_attached_later() -> None:
    made = History(0.3)
    made.add(Sample(at=0, phase=Phase.PRECOPY, pass_number=4))
    assert action(AfterFirstPass(), made) is Action.SWITCH


def test_adaptive_goes_on_while_passes_shrink() -> None:
    assert action(Adaptive(), history(200_000_000)) is Action.CONTINUE
    assert action(Adaptive(), history(200_000_000, 100_000_000)) is Action.CONTINUE


def test_adaptive_switches_when_they_do_not() -> None:
    assert action(Adaptive(), history(90_000_000, 90_000_000)) is Action.SWITCH
    assert action(Adaptive(), history(90_000_000, 120_000_000)) is Action.SWITCH


def test_adaptive_switches_at_a_pass_end_and_never_in_the_middle() -> None:
    assert action(Adaptive(), history(90_000_000, 90_000_000, then=0.2)) is Action.CONTINUE


def test_adaptive_leaves_the_end_to_precopy_when_what_is_left_fits() -> None:
    assert action(Adaptive(), history(29_000_000)) is Action.CONTINUE
    made = history(29_000_000, 29_000_000)
    assert action(Adaptive(), made) is Action.CONTINUE
    assert "by itself" in Adaptive().decide(made).reason
    assert action(Adaptive(), history(29_000_000, 29_000_000, downtime_limit=0.1)) is Action.SWITCH


def test_adaptive_is_not_fooled_by_noise() -> None:
    assert action(Adaptive(), history(104_000_000, 92_600_000)) is Action.SWITCH
    assert "too slowly" in Adaptive().decide(history(104_000_000, 92_600_000)).reason


def test_adaptive_goes_on_for_as_long_as_that_is_worth_its_price() -> None:
    # Halving each time, 500 MB need 10 s until they fit; post-copy would last 5 s.
    made = history(1_000_000_000, 500_000_000)
    assert action(Adaptive(), made) is Action.CONTINUE
    assert "guest time" in Adaptive().decide(made).reason
    assert action(Adaptive(price=10.0), made) is Action.SWITCH


@pytest.mark.parametrize("name", POLICIES)
def test_each_is_found_by_its_name(name: str) -> None:
    assert find(name).name == name


def test_an_unknown_one_is_refused_with_a_list() -> None:
    with pytest.raises(UsageError, match="no policy 'sometimes'") as caught:
        find("sometimes")
    assert "adaptive" in caught.value.hint


def test_bandwidth_is_that_of_the_last_pass() -> None:
    assert history(90_000_000, 80_000_000).bandwidth == pytest.approx(BANDWIDTH)
    assert history(90_000_000).bandwidth == pytest.approx(BANDWIDTH)


def test_parameters_are_read_and_written_back() -> None:
    spec = "nova:completion_timeout=15,timeout_action=force_complete,permit_post_copy=no"
    rule = find(spec)
    assert rule == Nova(
        completion_timeout=15, timeout_action="force_complete", permit_post_copy=False
    )
    assert spec_of(rule) == spec
    assert find("precopy:give-up-after=3") == Precopy(give_up_after=3)
    assert spec_of(find("precopy:give_up_after=none")) == "precopy"
    assert all(spec_of(find(name)) == name for name in POLICIES)


@pytest.mark.parametrize(
    ("spec", "said", "hint"),
    [
        ("nova:patience=3", "no parameter 'patience'", "completion_timeout=800"),
        ("immediate:when=now", "no parameter 'when'", "it has none"),
        ("nova:15", "write name=value", "completion_timeout"),
        ("nova:completion_timeout=soon", "completion_timeout=soon", "whole number"),
        ("nova:completion_timeout=-1", "completion_timeout=-1", "at least 0"),
        ("ovirt:tick=inf", "tick=inf", "a number"),
        ("ovirt:tick=nan", "tick=nan", "a number"),
        ("nova:timeout_action=hope", "timeout_action=hope", "abort, force_complete"),
        ("nova:permit_post_copy=maybe", "permit_post_copy=maybe", "yes or no"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_named(spec: str, said: str, hint: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        find(spec)
    assert hint in caught.value.hint
