"""What happens in a run follows from the seed, and everything happens in time."""

import json
from collections import defaultdict

import pytest

from postcopy.bench.faults.model import CUTS, Kind, Moment, RunPlan, Side
from postcopy.bench.faults.plan import LONGEST_SECONDS, MOST_FAULTS, plan_run

MANY = range(1, 201)
PLANS = [plan_run(7, number, "libvirt") for number in MANY]


def test_the_same_seed_plans_the_same_runs() -> None:
    assert [plan_run(7, number, "libvirt") for number in MANY] == PLANS


def test_another_seed_and_another_floor_plan_others() -> None:
    assert [plan_run(8, number, "libvirt") for number in MANY] != PLANS
    others = [plan_run(7, number, "qemu") for number in MANY]
    assert [plan.faults for plan in others] != [plan.faults for plan in PLANS]


def test_a_run_does_not_depend_on_how_many_there_are() -> None:
    assert plan_run(7, 150, "libvirt") == PLANS[149]


@pytest.mark.parametrize("begin", [0, 10, 50])
def test_so_many_runs_as_there_are_kinds_have_each_of_them(begin: int) -> None:
    few = PLANS[begin : begin + len(Kind)]
    assert {fault.kind for plan in few for fault in plan.faults} == set(Kind)


def test_each_kind_meets_each_moment() -> None:
    met: dict[Kind, set[Moment]] = defaultdict(set)
    for plan in PLANS:
        for fault in plan.faults:
            met[fault.kind].add(fault.moment)
    assert all(set(Moment) - {Moment.AGAIN} <= moments for moments in met.values())


def test_what_a_floor_cannot_break_is_left_whole() -> None:
    kinds = set(Kind) - {Kind.DAEMON}
    planned = [plan_run(7, number, "qemu", kinds) for number in MANY]
    assert {fault.kind for plan in planned for fault in plan.faults} == kinds


def test_everything_is_bounded() -> None:
    for plan in PLANS:
        assert 1 <= len(plan.faults) <= MOST_FAULTS
        assert plan.workload.cold_mib + plan.workload.hot_mib <= 96
        assert 25_000_000 <= plan.rate <= 50_000_000
        for fault in plan.faults:
            assert 0 <= fault.seconds <= LONGEST_SECONDS
            assert 0 <= fault.after <= 2.0
    assert {len(plan.faults) for plan in PLANS} == {1, 2, 3}


def test_moments_mean_what_they_say() -> None:
    for plan in PLANS:
        for number, fault in enumerate(plan.faults):
            before = plan.faults[:number]
            if fault.moment is Moment.PRECOPY:
                assert plan.switch_after > 0
            if fault.moment in (Moment.RECOVERY, Moment.AGAIN):
                assert any(one.kind in CUTS for one in before), plan
            if fault.moment is Moment.EARLY:
                assert fault.after <= 0.5
            if fault.moment is Moment.SWITCH:
                assert fault.after <= 0.03


def test_a_fault_of_one_side_names_it() -> None:
    sided = {Kind.ONE_WAY, Kind.HALF_OPEN, Kind.DAEMON, Kind.MONITOR}
    for plan in PLANS:
        for fault in plan.faults:
            assert (fault.side is Side.BOTH) == (fault.kind not in sided)


def test_a_plan_is_read_as_it_was_written() -> None:
    for plan in PLANS:
        assert RunPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
