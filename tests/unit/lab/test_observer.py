import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.forecast.model import Bursts
from postcopy.lab.observer import (
    Beat,
    Failure,
    Observation,
    Ready,
    Record,
    Text,
    Verdict,
    find_verdict,
    memory_verdict,
    merge,
    observe,
    read_log,
)
from postcopy.lab.work import BASELINE_SECONDS

BOOT = 1_700_000_000.0
STARTED = BOOT + 10.0
ENDED = BOOT + 20.0
RATE = 5000.0


def guest(
    *stops: tuple[float, float],
    until: float = 25.0,
    rate: float = RATE,
    slow: tuple[float, float, float] = (0.0, 0.0, 1.0),
    catches_up: bool = False,
) -> list[Beat]:
    """A guest that is heard every 20 ms from 5 s after its boot on.

    :param stops: (seconds after boot, duration) of each freeze, in which nothing is done or heard.
    :param slow: (from, to, share of its rate that is left), in seconds after boot.
    :param catches_up: whether what a freeze kept it from doing is done at once when it ends.
    """
    beats, writes, owed, sequence = [], 0.0, 0.0, 0
    for number in range(250, int(until * 50) + 1):
        at = number / 50
        if any(begin < at < begin + length for begin, length in stops):
            owed += rate / 50
            continue
        writes += rate / 50 * (slow[2] if slow[0] < at <= slow[1] else 1)
        if catches_up:
            writes, owed = writes + owed, 0.0
        beats.append(Beat(BOOT + at, sequence, at, int(writes), 0))
        sequence += 1
    return beats


def seen(records: Sequence[Record]) -> Observation:
    return observe(records, STARTED, ENDED)


def test_undisturbed_guest_lost_nothing() -> None:
    found = seen(guest())

    assert found.baseline_rate == pytest.approx(RATE, rel=0.01)
    assert found.longest_freeze_seconds == pytest.approx(0.02, abs=1e-5)
    assert found.guest_seconds_lost == pytest.approx(0, abs=0.01)
    assert found.beats == pytest.approx(550, abs=2)
    assert (found.pages_wrong_seen, found.rebooted, found.panicked) == (0, False, False)
    assert found.uptime_continuous


@given(
    st.lists(st.integers(3, 40).map(lambda ticks: ticks / 50), min_size=1, max_size=5),
    st.booleans(),
)
def test_freezes_are_found_and_add_up(lengths: list[float], catches_up: bool) -> None:
    stops = [(11.0 + 2 * place, length) for place, length in enumerate(lengths)]

    found = seen(guest(*stops, catches_up=catches_up))

    # A silence lasts from the beat before the freeze to the first one after it.
    assert found.longest_freeze_seconds == pytest.approx(max(lengths), abs=0.021)
    if not catches_up:
        assert found.guest_seconds_lost == pytest.approx(sum(lengths), abs=0.021 * len(lengths))
    assert found.uptime_continuous
    assert not found.rebooted


def test_work_caught_up_in_the_beats_after_a_freeze_does_not_undo_it() -> None:
    frozen = guest((12.0, 0.8))
    caught_up = [
        replace(beat, writes=beat.writes + min(4000, int(max(0.0, beat.at - BOOT - 12.84) * 8000)))
        for beat in frozen
    ]

    assert seen(caught_up).guest_seconds_lost == pytest.approx(0.8, abs=0.03)


@given(st.floats(0.05, 0.95), st.floats(0.5, 8.0))
def test_slowness_is_counted_in_seconds_of_the_guests_own_pace(
    share_left: float, duration: float
) -> None:
    found = seen(guest(slow=(11.0, 11.0 + duration, share_left)))

    assert found.guest_seconds_lost == pytest.approx(duration * (1 - share_left), abs=0.05)
    assert found.longest_freeze_seconds == pytest.approx(0.02, abs=1e-5)


def test_a_pace_may_be_that_of_before_the_hosts_were_prepared() -> None:
    """Slow already when its memory began to move, and for as long as it did."""
    records = guest(slow=(8.0, 20.0, 0.5))
    assert seen(records).guest_seconds_lost == pytest.approx(0, abs=0.1)
    found = observe(records, STARTED, ENDED, undisturbed=BOOT + 8.0)
    assert found.baseline_rate == pytest.approx(RATE, rel=0.01)
    assert found.guest_seconds_lost == pytest.approx(5.0, abs=0.1)


BURSTS = Bursts(duty=0.3, period_seconds=4.0)


def in_bursts(phase: float = 0.0, stops: tuple[float, float] = (0.0, 0.0)) -> list[Record]:
    """Return what a guest in bursts says, as its own clock has it, that is stopped for a while.

    :param phase: how far its clock is ahead of the time since it was booted.
    :param stops: when, in seconds since it was booted, and for how long.
    """
    beats: list[Record] = []
    begins, length = stops
    for number in range(25 * 50):
        at = number / 50
        clock = at + phase
        writes = RATE * BURSTS.active_seconds(0, clock)
        arrives = BOOT + at + (length if at > begins else 0)
        beats.append(Beat(arrives, number, clock, int(writes), 0))
    return beats


@given(st.floats(0.0, 3.9), st.floats(0.3, 9.0))
def test_the_rests_of_a_guest_that_works_in_bursts_are_no_loss(phase: float, length: float) -> None:
    """Its pace in the two seconds before would be anything from nothing to that of a burst."""
    found = observe(in_bursts(phase), STARTED, STARTED + length, bursts=BURSTS)
    assert found.baseline_rate == pytest.approx(RATE, rel=0.02)
    assert found.guest_seconds_lost == pytest.approx(0, abs=0.02)


@given(st.floats(0.0, 3.9), st.floats(12.0, 16.0), st.floats(6.0, 9.0))
def test_a_stop_costs_a_guest_in_bursts_its_usual_work_of_as_long(
    phase: float, begins: float, length: float
) -> None:
    """Its bursts come later by as much, wherever it was stopped, and wherever the watch ends."""
    stopped = 0.5
    beats = in_bursts(phase, (begins, stopped))
    found = observe(beats, STARTED, STARTED + length, before=8.0, bursts=BURSTS)
    assert found.guest_seconds_lost == pytest.approx(BURSTS.duty * stopped, abs=0.03)


@pytest.mark.parametrize(("begins", "lost"), [(12.1, 0.5), (13.0, 0.2), (14.0, 0.0)])
def test_a_freeze_costs_a_guest_in_bursts_what_of_it_is_within_one(
    begins: float, lost: float
) -> None:
    """Its clock goes on while it waits for a page."""
    beats = in_bursts()
    missed = 0
    for number, beat in enumerate(beats):
        assert isinstance(beat, Beat)
        if begins < beat.uptime_seconds <= begins + 0.5:
            missed = beat.writes - beats[math.ceil(begins * 50)].writes  # type: ignore[union-attr]
        beats[number] = replace(beat, writes=beat.writes - missed)
    beats = [each for each in beats if not begins < each.at - BOOT <= begins + 0.5]

    found = observe(beats, STARTED, STARTED + 6.0, before=8.0, bursts=BURSTS)

    assert found.guest_seconds_lost == pytest.approx(lost, abs=0.05)


@given(st.integers(0, 2**32))
def test_jitter_of_the_arrivals_costs_nothing(seed: int) -> None:
    jitter = 0.009
    late = random.Random(seed)
    beats = [replace(beat, at=beat.at + late.uniform(0.0, jitter)) for beat in guest()]

    # The pace is that between two beats, of which one may be late; so may the last one be.
    watched = ENDED + 1.0 - STARTED
    most = jitter * watched / BASELINE_SECONDS + jitter
    assert seen(beats).guest_seconds_lost == pytest.approx(0, abs=most)


def test_beats_held_up_on_their_way_are_a_silence_but_no_lost_work() -> None:
    held = [
        replace(beat, at=BOOT + 13.5) if BOOT + 13 < beat.at < BOOT + 13.5 else beat
        for beat in guest()
    ]

    found = seen(held)

    assert found.longest_freeze_seconds == pytest.approx(0.5, abs=0.021)
    assert found.guest_seconds_lost == pytest.approx(0, abs=0.03)


def test_guest_that_writes_nothing_is_measured_by_its_heartbeat() -> None:
    found = seen(guest((12.0, 0.5), rate=0))

    assert found.baseline_rate == 0
    assert found.guest_seconds_lost == pytest.approx(0.5, abs=0.03)
    assert seen(guest(rate=0)).guest_seconds_lost == pytest.approx(0, abs=0.01)


def test_guest_never_heard_again_is_frozen_to_the_end() -> None:
    found = seen(guest(until=15.0))

    assert found.longest_freeze_seconds == pytest.approx(6.0, abs=0.021)
    assert found.guest_seconds_lost == pytest.approx(6.0, abs=0.05)


def test_no_beats_at_all_is_one_long_freeze() -> None:
    found = seen([])

    assert found.longest_freeze_seconds == 11.0
    assert found.guest_seconds_lost == pytest.approx(11.0)
    assert (found.baseline_rate, found.beats, found.progress) == (0, 0, ())


def test_freezes_outside_the_time_observed_do_not_count() -> None:
    found = seen(guest((8.5, 1.0), (22.0, 1.0)))

    assert found.longest_freeze_seconds == pytest.approx(0.02, abs=1e-5)


def test_freeze_that_reaches_into_the_time_observed_counts_whole() -> None:
    assert seen(guest((9.5, 1.0))).longest_freeze_seconds == pytest.approx(1.0, abs=0.021)


@pytest.mark.parametrize("lost", [1, 5])
def test_beats_lost_at_the_switch_are_no_error(lost: int) -> None:
    beats = guest()
    del beats[400 : 400 + lost]

    found = seen(beats)

    assert found.uptime_continuous
    assert not found.rebooted


def test_two_hosts_that_disagree_about_the_order_of_beats_are_no_reboot() -> None:
    beats = guest((14.0, 0.1))
    source = [beat for beat in beats if beat.at <= BOOT + 14]
    destination = [beat for beat in beats if beat.at > BOOT + 14]
    source[-3:] = [replace(beat, at=beat.at + 0.13) for beat in source[-3:]]
    merged = merge(source, destination)

    assert merged != [*source, *destination]
    assert not seen(merged).rebooted


def after_reboot(at: float) -> list[Beat]:
    return [
        Beat(BOOT + at + 3 + number / 50, number, 2.5 + number / 50, number * 100, 0)
        for number in range(100)
    ]


def test_reboot_is_noticed_by_the_second_ready() -> None:
    ready = Ready(BOOT + 16.0, 90112)

    assert seen([*guest(until=13.0), ready]).rebooted
    assert not seen([Ready(BOOT + 4.9, 90112), *guest()]).rebooted


def test_reboot_is_noticed_by_the_beats_alone() -> None:
    found = seen([*guest(until=13.0), *after_reboot(13.0)])

    assert found.rebooted
    assert not found.uptime_continuous


def test_earlier_reboot_and_earlier_wrong_pages_are_not_blamed_on_this_migration() -> None:
    broken = [Beat(BOOT + number / 50, 1000 + number, 50.0, 10, 0) for number in range(100)]
    since = [replace(beat, wrong=7) for beat in guest()]

    found = seen([*broken, Text(BOOT + 2, "Kernel panic"), Ready(BOOT + 4.9, 1), *since])

    assert (found.rebooted, found.panicked, found.pages_wrong_seen) == (False, False, 0)


def test_panic_is_told_from_mere_complaints() -> None:
    complaint = Text(BOOT + 15, "[   15.0] watchdog: BUG: soft lockup - CPU#0 stuck for 22s!")
    trace = Text(BOOT + 15, "[   15.0] Call Trace:")
    panic = Text(BOOT + 15, "[   15.0] Kernel panic - not syncing: Attempted to kill init!")

    assert not seen(merge(guest(), [complaint, trace])).panicked
    assert seen(merge(guest(), [panic])).panicked


def test_wrong_pages_are_those_found_since_the_start() -> None:
    beats = [replace(beat, wrong=3 if beat.at > BOOT + 15 else 1) for beat in guest()]

    assert seen(beats).pages_wrong_seen == 2


def test_clock_that_leaps_forward_is_not_continuous() -> None:
    beats = [
        replace(beat, uptime_seconds=beat.uptime_seconds + 60 * (beat.at > BOOT + 15))
        for beat in guest()
    ]

    assert not seen(beats).uptime_continuous
    assert not seen(beats).rebooted


def test_guest_that_froze_while_it_told_its_clock_is_continuous() -> None:
    """It read its clock, waited five seconds for a page, and then said what it had read."""
    late = [replace(beat, at=beat.at + 5) if beat.at > BOOT + 15 else beat for beat in guest()]
    first = next(place for place, beat in enumerate(late) if beat.at > BOOT + 20)
    later = [replace(beat, uptime_seconds=beat.uptime_seconds + 5) for beat in late[first + 1 :]]

    assert seen([*late[: first + 1], *later]).uptime_continuous


def test_beats_that_the_first_host_hears_late_are_in_their_place() -> None:
    # It skipped every other beat, as a guest does that gets too little of a processor.
    half = [beat for beat in guest() if beat.sequence % 2 == 0]
    beats = [replace(beat, sequence=number) for number, beat in enumerate(half)]
    left = [beat for beat in beats if beat.at < BOOT + 15]
    late = [replace(beat, at=beat.at + 0.15) for beat in left[-20:]]

    assert seen(merge(left[:-20], late, beats[len(left) :])).uptime_continuous


def test_guest_that_runs_twice_is_not_continuous() -> None:
    twin = [replace(beat, at=beat.at + 0.007) for beat in guest() if beat.at > BOOT + 15]

    assert not seen(merge(guest(), twin)).uptime_continuous


def test_progress_shows_the_rate_and_the_freeze() -> None:
    progress = seen(guest((13.0, 1.0))).progress

    assert progress[0][0] == pytest.approx(STARTED - 2 + 0.05)
    assert progress[-1][0] == pytest.approx(ENDED + 1 - 0.05, abs=0.11)
    assert all(b[0] - a[0] == pytest.approx(0.1, abs=1e-5) for a, b in pairwise(progress))
    frozen = [rate for at, rate in progress if 13.1 < at - BOOT < 13.9]
    running = [rate for at, rate in progress if not 12.8 < at - BOOT < 14.2]
    assert all(rate < RATE / 20 for rate in frozen)
    assert all(rate == pytest.approx(RATE, rel=0.02) for rate in running)


def log(path: Path, lines: Iterable[bytes]) -> Path:
    path.write_bytes(b"".join(lines))
    return path


def test_log_is_read_line_by_line(tmp_path: Path) -> None:
    path = log(
        tmp_path / "log",
        [
            b"1700000000000000000 [    0.0] Linux version 6.1\n",
            b"1700000001000000000 READY cold=256 hot=96 pages=90112 fill_ms=600\n",
            b"1700000001500000000 H 12 3400 567 1\n",
            b"1700000002000000000 V 90112 1 16461\n",
            b"1700000003000000000 V 90112 0 -1\n",
            b"1700000003500000000 V 90112 0 -1 16384 2\n",
            b"1700000004000000000 E 480 MiB wanted, 410 MiB free\n",
        ],
    )

    assert read_log(path) == [
        Text(BOOT, "[    0.0] Linux version 6.1"),
        Ready(BOOT + 1, 90112),
        Beat(BOOT + 1.5, 12, 3.4, 567, 1),
        Verdict(BOOT + 2, 90112, 1, 16461),
        Verdict(BOOT + 3, 90112, 0, None),
        Verdict(BOOT + 3.5, 90112, 0, None, 16384, 2),
        Failure(BOOT + 4, "480 MiB wanted, 410 MiB free"),
    ]


def test_torn_last_line_is_no_beat(tmp_path: Path) -> None:
    path = log(
        tmp_path / "log", [b"1700000000000000000 H 1 20 3 0\n1700000001000000000 H 2 40 6 0"]
    )

    assert [type(record) for record in read_log(path)] == [Beat, Text]


@pytest.mark.parametrize(
    "line",
    [b"", b"garbage", b"1700000000000000000", b"-5 H 1 2 3 4", b"\xff\xfe\x00 H 1 2 3 4"],
)
def test_line_without_a_stamp_is_skipped(tmp_path: Path, line: bytes) -> None:
    path = log(tmp_path / "log", [line, b"\n1700000000000000000 H 1 20 3 0\n"])

    assert read_log(path) == [Beat(BOOT, 1, 0.02, 3, 0)]


@pytest.mark.parametrize(
    "text", [b"H 1 20 3", b"H 1 20 3 0[ 1.0] x", b"H 1 20 -3 0", b"0 3 0", b"H " + b"9" * 9000]
)
def test_broken_beat_is_text(tmp_path: Path, text: bytes) -> None:
    path = log(tmp_path / "log", [b"1700000000000000000 ", text, b"\n"])

    assert [type(record) for record in read_log(path)] == [Text]


@given(content=st.binary(max_size=300))
def test_no_log_is_too_broken_to_read(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = log(tmp_path_factory.getbasetemp() / "broken-log", [content])

    assert all(record.at >= 0 for record in read_log(path))


def test_host_that_the_guest_never_came_to_has_no_records(tmp_path: Path) -> None:
    assert read_log(tmp_path / "missing") == []


@given(st.lists(st.floats(0, 100)), st.lists(st.floats(0, 100)))
def test_merge_keeps_all_in_order(source: list[float], destination: list[float]) -> None:
    logs = [[Text(at, "") for at in sorted(times)] for times in (source, destination)]

    assert [record.at for record in merge(*logs)] == sorted(source + destination)


def test_verdict_is_the_first_after_the_question() -> None:
    earlier, later = Verdict(BOOT + 1, 10, 0, None), Verdict(BOOT + 3, 10, 2, 7)

    assert find_verdict([earlier, later], BOOT) == earlier
    assert find_verdict([earlier, later], BOOT + 2) == later
    assert find_verdict([earlier], BOOT + 2) is None


def test_memory_verdict_counts_what_was_found_working_and_when_asked() -> None:
    observation = replace(seen(guest()), pages_wrong_seen=2, rebooted=True)

    assert memory_verdict(observation, Verdict(ENDED, 90112, 1, 5)) == {
        "pages_checked": 90112,
        "pages_wrong": 3,
        "rebooted": True,
        "panicked": False,
    }
