"""What others do, worked out by hand."""

from postcopy.migration import Action
from postcopy.policy import (
    Guestperf,
    Kubevirt,
    KubevirtStall,
    Nova,
    NovaNewton,
    Ovirt,
    VirshTimeout,
)

from .traces import GIB, MB, played, sample


def every(seconds: float, until: float) -> list[float]:
    return [seconds * i for i in range(round(until / seconds) + 1)]


def test_nova_steps_the_downtime_and_aborts_by_the_size() -> None:
    # 1 GiB counts as 2: a step each int(75 * 2) = 150 s, the time-out after 1600 s. Nova compares
    # with "greater", so each comes at the next half second.
    wanted = played(Nova(), [sample(at) for at in every(0.5, 2000)])
    steps = [(at, limit) for at, action, limit in wanted if action is Action.LIMIT_DOWNTIME]
    assert steps == [
        (0.5 + 150 * i, milliseconds / 1000)
        for i, milliseconds in enumerate((50, 95, 140, 185, 230, 275, 320, 365, 410, 455, 500))
    ]
    assert wanted[-1] == (1600.5, Action.CANCEL, None)


def test_nova_counts_disks_and_forces_completion() -> None:
    # 4 GiB of memory and 1 GiB of disk, which counts as 2: 6 x 15 = 90 s.
    rule = Nova(completion_timeout=15, timeout_action="force_complete")
    looks = [sample(at, total=4 * GIB, disk=GIB) for at in every(0.5, 100)]
    assert played(rule, looks)[-1] == (90.5, Action.SWITCH, None)
    assert rule.uses_postcopy
    pausing = Nova(completion_timeout=15, timeout_action="force_complete", permit_post_copy=False)
    assert played(pausing, looks)[-1] == (90.5, Action.PAUSE, None)
    assert not pausing.uses_postcopy


def test_nova_without_a_timeout_goes_on_for_ever() -> None:
    looks = [sample(at) for at in every(100.0, 100_000)]
    assert all(
        action is Action.LIMIT_DOWNTIME
        for _, action, _ in played(Nova(completion_timeout=0), looks)
    )


def test_nova_newton_compares_polls_not_passes() -> None:
    # 100 MB/s: 50 MB go between polls. From 490 MB that is 10 %, from 540 MB 9 %; the first pass
    # does not count. The pass that ends at 3 s leaves 400 MB: what remains rises, and it switches.
    falling = [sample(0.5 * i, (590 - 50 * i) * MB) for i in range(6)]
    second = sample(3.0, 400 * MB, number=2)
    assert played(NovaNewton(), [*falling, second]) == [(3.0, Action.SWITCH, None)]
    # Samples between two polls are not seen: here the sawtooth falls between them.
    quick = [
        sample(0.0, 300 * MB, number=2), sample(0.2, 10 * MB, number=2),
        sample(0.4, 400 * MB, number=3), sample(0.5, 250 * MB, number=3),
    ]  # fmt: skip
    assert played(NovaNewton(), quick) == []
    # round(9.5) is 10 in Python, 9.4 rounds to 9.
    assert played(NovaNewton(), [sample(0, 1000, number=2), sample(0.5, 905, number=2)]) == []
    last = [sample(0, 1000, number=2), sample(0.5, 906, number=2)]
    assert played(NovaNewton(), last) == [(0.5, Action.SWITCH, None)]


def test_ovirt_acts_at_ticks_that_find_another_pass() -> None:
    # Looks at 10, 20, ... s. Pass 1 at 10 s, 2 at 20 s: one more than the first, not yet above 1.
    numbers = {10: 1, 20: 2, 30: 3, 40: 3, 50: 4, 60: 5, 70: 9}
    looks = [sample(0.0)]
    for tick in range(1, 8):
        looks += [sample(tick * 10.0, number=numbers[tick * 10]), sample(tick * 10.0 + 0.3)]
    assert played(Ovirt(), looks) == [
        (0.0, Action.LIMIT_DOWNTIME, 0.1),
        (30.0, Action.LIMIT_DOWNTIME, 0.15),  # 2 passes > 1
        (50.0, Action.LIMIT_DOWNTIME, 0.2),  # 3 > 2; nothing at 40 s, the pass was the same
        (60.0, Action.SWITCH, None),
    ]


def test_ovirt_switches_at_its_third_acting_tick_at_the_earliest() -> None:
    looks = [sample(0.0), sample(10.0, number=1)]
    looks += [sample(10.0 * i, number=10 * i) for i in range(2, 6)]
    assert played(Ovirt(), looks)[-1] == (40.0, Action.SWITCH, None)


def test_kubevirt_switches_at_its_timeout() -> None:
    falling = [sample(0.4 * i, 5e9 - i * MB, total=2 * GIB) for i in range(800)]
    # 2 GiB x 150 s; the first poll past 300 s is the one at 300.4 s.
    assert played(Kubevirt(), falling) == [(300.4, Action.SWITCH, None)]
    suspend, abort = (
        Kubevirt(allow_post_copy=False),
        Kubevirt(allow_post_copy=False, allow_workload_disruption=False),
    )
    assert played(suspend, falling)[-1][1] is Action.PAUSE
    assert played(abort, falling)[-1][1] is Action.CANCEL


def test_kubevirt_gives_up_when_nothing_moves() -> None:
    stuck = [sample(0.4 * i, 5e8, total=2 * GIB) for i in range(800)]
    assert played(Kubevirt(), stuck) == [(150.4, Action.CANCEL, None)]
    # A sawtooth falls between its teeth: that counts as progress.
    saw = [sample(0.4 * i, 5e8 - (i % 10) * MB, total=2 * GIB) for i in range(700)]
    assert played(Kubevirt(), saw) == []


def test_kubevirt_stall_waits_for_the_best() -> None:
    left = [400, 200, 100, 120, 99, 130, 103]
    ends = [sample(20.0 * i, mb * MB, number=i + 1, ended=True) for i, mb in enumerate(left, 1)]
    # At 80 s the records of 40 s and before are (400, 200), and 120 < 192: none. At 100 s the least
    # old one is 100, and 99 > 96: stalled, best 99, and 99 is near enough.
    assert played(KubevirtStall(), ends) == [(100.0, Action.SWITCH, None)]


def test_kubevirt_stall_lowers_its_sights() -> None:
    left = [100, 50, 100, 100, 100, 100, 100]
    ends = [sample(20.0 * i, mb * MB, number=i + 1, ended=True) for i, mb in enumerate(left, 1)]
    # Stalled at 60 s: the record of 20 s is 100, and 100 > 96. Best is 50, until 100 s. Nothing at
    # 80 and 100 s; at 120 s the sights are lowered to 100.
    assert played(KubevirtStall(), ends) == [(120.0, Action.SWITCH, None)]


def test_kubevirt_stall_does_not_begin_what_would_take_too_long() -> None:
    ends = [
        sample(20.0 * i, 3000 * MB, number=i + 1, ended=True, bandwidth=1e6) for i in range(1, 9)
    ]
    assert played(KubevirtStall(), ends) == []


def test_virsh_timeout_is_one_moment() -> None:
    looks = [sample(at) for at in every(0.5, 20)]
    assert played(VirshTimeout(timeout=5), looks) == [(5.0, Action.SWITCH, None)]
    suspend = VirshTimeout(timeout=5, action="suspend")
    assert played(suspend, looks) == [(5.0, Action.PAUSE, None)]


def test_guestperf_switches_at_the_fifth_pass_and_gives_up() -> None:
    passes = [sample(float(i), number=i) for i in range(1, 8)]
    assert played(Guestperf(), passes) == [
        (1.0, Action.LIMIT_DOWNTIME, 0.5),
        (5.0, Action.SWITCH, None),
    ]
    slow = [sample(100.0 * i, number=i) for i in range(1, 5)]
    slow.append(sample(400.5, number=4))
    assert played(Guestperf(), slow)[-1] == (400.5, Action.CANCEL, None)
    assert played(Guestperf(post_copy_iters=40), [sample(0, number=31)])[-1][1] is Action.CANCEL
