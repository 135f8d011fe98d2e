"""Guests that share links, against what can be worked out by hand."""

import math
from dataclasses import replace

import pytest

from postcopy.errors import UsageError
from postcopy.forecast import Guest, Harm, Link, Move, Scenario, simulate, simulate_together
from postcopy.forecast.model import Bursts
from postcopy.forecast.scenario import End
from postcopy.migration.decision import Policy
from postcopy.policy import POLICIES, Adaptive, Guestperf, Immediate, Precopy, find

from .guests import GBIT, GIB, At, guest, large

WIRE = 1e9
SETUP = 0.03


def idle(content: float, bandwidth: float = WIRE, limit: float = 0.0) -> Scenario:
    """A guest that writes nothing and stops for no time: it takes what its bytes take."""
    return Scenario(
        guest=Guest(memory_bytes=content, content_bytes=content, dirty=guest(1, 1, 0, 0).dirty),
        link=Link(bandwidth=bandwidth),
        harm=Harm(stop_seconds=0.0, tail_share=1.0),
        downtime_limit=limit,
    )


def move(scenario: Scenario, start: float = 0.0, policy: Policy | None = None) -> Move:
    return Move(scenario=scenario, policy=policy or Precopy(), over=("wire",), start=start)


WIRES = {"wire": Link(bandwidth=WIRE)}


def ends(*moves: Move, at_once: int | None = None) -> list[float]:
    done = simulate_together(moves, WIRES, at_once=at_once)
    return [each.ended_at for each in done.guests]


def test_two_equal_guests_take_twice_as_long_as_one() -> None:
    assert ends(move(idle(4e9))) == pytest.approx([SETUP + 4])
    assert ends(move(idle(4e9)), move(idle(4e9))) == pytest.approx([SETUP + 8] * 2)


def test_the_smaller_of_two_goes_and_the_other_has_the_link_to_itself() -> None:
    # Both get half until 2 GB of each have gone, 4 s; the other 4 GB take 4 s more.
    assert ends(move(idle(2e9)), move(idle(6e9))) == pytest.approx([SETUP + 4, SETUP + 8])


def test_one_that_joins_later_takes_half_from_then_on() -> None:
    # 2 GB of the first are gone when the second comes; its other 2 take 4 s beside it. By then the
    # second has sent 2 of 4, and sends the rest alone.
    first, second = ends(move(idle(4e9)), move(idle(4e9), start=2.0))
    assert first == pytest.approx(SETUP + 6)
    assert second == pytest.approx(SETUP + 8)


def test_so_many_at_a_time_and_the_next_when_one_has_gone() -> None:
    queued = [move(idle(2e9)) for _ in range(5)]
    one_by_one = ends(*queued, at_once=1)
    assert one_by_one == pytest.approx([(SETUP + 2) * i for i in range(1, 6)])
    by_two = ends(*queued, at_once=2)
    pair = SETUP + 4
    assert by_two == pytest.approx([pair, pair, 2 * pair, 2 * pair, 2 * pair + SETUP + 2])


def test_nobody_gets_more_than_its_own_link_and_the_others_have_the_rest() -> None:
    slow, fast = ends(move(idle(2e9, bandwidth=WIRE / 4)), move(idle(6e9)))
    assert slow == pytest.approx(SETUP + 8)
    assert fast == pytest.approx(SETUP + 8)


def test_shares_of_several_links_are_max_min_fair() -> None:
    # Of the textbook: one over both links, one over each. The first gets half of the narrow link,
    # as does who is there with it; the third has what is left of the wide one.
    links = {"narrow": Link(bandwidth=1e9), "wide": Link(bandwidth=2e9)}
    own = idle(1e9, bandwidth=10e9)
    over = (("narrow", "wide"), ("narrow",), ("wide",))
    sizes = (1e9, 1e9, 3e9)  # at 0.5, 0.5 and 1.5 GB/s all take 2 s
    moves = [
        Move(
            scenario=replace(own, guest=replace(own.guest, content_bytes=size, memory_bytes=size)),
            policy=Precopy(),
            over=way,
        )
        for way, size in zip(over, sizes, strict=True)
    ]
    done = simulate_together(moves, links)
    assert [each.ended_at for each in done.guests] == pytest.approx([SETUP + 2] * 3)


def test_a_shared_link_that_halves_halves_all_shares() -> None:
    links = {"wire": Link(bandwidth=WIRE, changes=((SETUP + 2, WIRE / 2),))}
    done = simulate_together([move(idle(2e9)), move(idle(2e9))], links)
    # 1 GB of each in the first 2 s, the other at a quarter.
    assert [each.ended_at for each in done.guests] == pytest.approx([SETUP + 6] * 2)


def test_one_that_is_called_off_leaves_its_share_to_the_others() -> None:
    moves = [move(idle(4e9), policy=Guestperf(max_time=2.0)), move(idle(4e9))]
    gone, stays = simulate_together(moves, WIRES, poll_seconds=0.5).guests
    assert gone.result.end is End.CANCELLED
    # By then each has sent half of what went; the other has the link to itself.
    assert stays.ended_at == pytest.approx(SETUP + 4 + (gone.ended_at - SETUP) / 2)


def test_a_post_copy_shares_as_well() -> None:
    now, later = ends(move(idle(2e9), policy=Immediate()), move(idle(2e9), policy=At(1.0)))
    assert [now, later] == pytest.approx([SETUP + 4] * 2)


def test_the_whole_is_the_sum_and_the_last() -> None:
    moves = [move(large(1, 1e8)), move(large(2, 4e8), start=5.0, policy=Adaptive())]
    done = simulate_together(moves, WIRES)
    assert done.makespan_seconds == max(each.ended_at for each in done.guests)
    lost = [each.result.guest_seconds_lost for each in done.guests]
    sent = [each.result.transferred_bytes for each in done.guests]
    assert done.guest_seconds_lost == pytest.approx(sum(lost))
    assert done.transferred_bytes == pytest.approx(sum(sent))


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("poll", [None, 0.5])
def test_one_alone_comes_to_what_it_does_without_a_shared_link(
    name: str, poll: float | None
) -> None:
    bursts = Bursts(duty=0.5, period_seconds=7.0)
    scenarios = [
        large(2, 4e8),
        large(4, 4e9),
        large(4, 4e9, bursts=bursts),
        replace(large(1, 6e8), guest=replace(large(1, 6e8).guest, disk_bytes=9e9)),
        replace(large(4, 2e9), auto_converge=True),
    ]
    for scenario in scenarios:
        alone = Move(scenario=scenario, policy=find(name), over=("wire",))
        done = simulate_together(
            [alone], {"wire": Link(bandwidth=10 * GBIT)}, poll_seconds=poll, most_seconds=2e5
        )
        expected = simulate(scenario, find(name), poll_seconds=poll, most_seconds=2e5)
        assert done.guests[0].result == expected


def test_passes_taken_together_end_when_another_guest_comes() -> None:
    # Alone it goes through hundreds of passes that are all alike; beside another they take twice as
    # long, and no fewer bytes go over the link.
    hot = large(4, 4e9, bandwidth=WIRE)
    waits = At(5000.0)
    other = move(idle(400e9), start=2000.0)
    done = simulate_together([move(hot, policy=waits), other], WIRES)
    first, second = (each.result for each in done.guests)
    assert first.end is End.POSTCOPY
    assert done.guests[1].ended_at == pytest.approx(2000 + SETUP + 800, rel=1e-3)
    assert second.total_seconds == pytest.approx(SETUP + 800, rel=1e-3)
    sent = first.transferred_bytes + second.transferred_bytes
    assert sent == pytest.approx(WIRE * first.total_seconds, rel=1e-3)


def test_one_that_never_ends_lets_the_next_in_when_it_is_given_up() -> None:
    hot = large(4, 4e9, bandwidth=WIRE)
    moves = [move(hot), move(idle(1e9))]
    done = simulate_together(moves, WIRES, at_once=1, most_seconds=1000.0)
    assert done.guests[0].result.end is End.NEVER
    assert math.isinf(done.makespan_seconds)
    assert 1000 < done.guests[1].ended_at < 1200


def test_over_a_dead_link_nobody_arrives_and_all_come_to_an_end() -> None:
    dead = {"wire": Link(bandwidth=WIRE, changes=((1.0, 0.0),))}
    moves = [move(idle(4e9)), move(idle(4e9), policy=Immediate()), move(idle(1e9))]
    done = simulate_together(moves, dead, at_once=2)
    assert all(math.isinf(each.ended_at) for each in done.guests)


def test_a_guest_with_a_disk_gets_over_a_link_that_is_down_for_a_while() -> None:
    disk = idle(1e9)
    disk = replace(disk, guest=replace(disk.guest, disk_bytes=3e9))
    down = {"wire": Link(bandwidth=WIRE, changes=((0.0, 0.0), (10.0, WIRE)))}
    [only] = simulate_together([move(disk)], down).guests
    assert only.ended_at == pytest.approx(10 + simulate(disk, Precopy()).total_seconds, abs=1)


def test_a_link_that_is_not_there_and_none_at_a_time_are_refused() -> None:
    with pytest.raises(UsageError, match="'wire'"):
        simulate_together([move(idle(1e9))], {"other": Link(bandwidth=WIRE)})
    with pytest.raises(UsageError, match="0 guests"):
        simulate_together([move(idle(1e9))], WIRES, at_once=0)


def test_a_thousand_guests_take_what_their_bytes_take() -> None:
    moves = [move(idle(GIB)) for _ in range(1000)]
    done = simulate_together(moves, WIRES, at_once=50)
    assert done.makespan_seconds == pytest.approx(1000 * GIB / WIRE, rel=1e-2)
