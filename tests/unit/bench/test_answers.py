"""What a server's users saw, worked out by hand."""

from pathlib import Path

import pytest

from postcopy.bench.load.answers import Answers
from postcopy.bench.load.generator import RECORD


def steady(begin: float, end: float, each: float) -> tuple[list[float], list[float]]:
    """Return requests one after the other, each of which takes so long."""
    count = round((end - begin) / each)
    sent = [begin + i * each for i in range(count)]
    return sent, [at + each for at in sent]


def test_the_log_is_read_client_by_client(tmp_path: Path) -> None:
    path = tmp_path / "log"
    records = [
        *((0, 1.0, 1.1, 8, 1), (1, 1.0, 1.3, 7, 0), (0, 1.1, 1.2, 4, 1), (0, 1.2, 1.4, 8, 2)),
        *((1, 1.3, 0.0, 0, 0),),
    ]
    path.write_bytes(b"".join(RECORD.pack(*each) for each in records) + b"torn")

    found = Answers.read(path)

    assert found.clients == (([1.0, 1.1, 1.2], [1.1, 1.2, 1.4]), ([1.0], [1.3]))
    assert found.unanswered == (1.3,)
    assert found.acknowledged == {8: 2, 4: 1}


def test_a_stall_weighs_as_much_as_it_lasted() -> None:
    # 10 ms each, but for one that takes a second: 1 answer in 100, and half of the time.
    before, stalled, after = (
        steady(0.0, 0.5, 0.010),
        ([0.5], [1.5]),
        steady(1.5, 2.0, 0.010),
    )
    sent = [*before[0], *stalled[0], *after[0]]
    answered = [*before[1], *stalled[1], *after[1]]

    waits = Answers(((sent, answered),)).waits(0.0, 1.99)

    # Who asks during the stall has to wait for its end and then for an answer of his own.
    assert waits["max"] == pytest.approx(1.01, abs=0.02)
    assert waits["p99"] == pytest.approx(0.99, abs=0.03)
    # Up to 20 ms in quiet times, and up to a second for half of the time.
    assert 0.015 <= waits["p50"] <= 0.05


def test_nothing_happens_to_the_users_of_a_server_that_stays() -> None:
    waits = Answers((steady(0.0, 10.0, 0.002), steady(0.001, 10.0, 0.002))).waits(2.0, 8.0)

    assert waits["max"] <= 0.005
    assert waits["p50"] >= 0.002


def test_one_that_never_answers_again_makes_users_wait_until_the_end() -> None:
    waits = Answers((steady(0.0, 1.0, 0.010),)).waits(0.5, 3.0)

    assert waits["max"] == pytest.approx(2.0, abs=0.05)


def test_what_was_not_answered_in_a_time_is_lost() -> None:
    sent, answered = steady(0.0, 2.0, 0.010)
    late, later = steady(3.0, 4.0, 0.010)
    work = Answers((([*sent, *late], [*answered, *later]),)).work()

    pace = work.rate_before(2.0)
    assert pace == pytest.approx(100.0)
    assert work.seconds_lost(2.0, 4.0, pace) == pytest.approx(1.0, abs=0.02)
    assert work.seconds_lost(0.5, 1.5, pace) == pytest.approx(0.0, abs=0.02)


def test_before_and_during_are_told_apart() -> None:
    found = Answers((steady(0.0, 10.0, 0.010),), unanswered=(1.0, 5.0))

    latency = found.latency(2.0, 4.0, 8.0)

    assert latency.requests == 400
    assert latency.errors == 1
    assert latency.before["p99"] == pytest.approx(latency.during["p99"], abs=0.002)


def test_without_any_answer_there_are_no_percentiles() -> None:
    assert Answers(()).waits(0.0, 1.0) == {}
