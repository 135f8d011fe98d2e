import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from postcopy.migration import Journal, Phase, Sample
from postcopy.policy import Precopy
from postcopy.report import RunReport
from postcopy.report.timeline import Timeline, thin
from tests.unit.report.conftest import Mover

values = st.floats(0, 1e12)


@given(st.lists(values, min_size=1, max_size=3000), st.integers(4, 500))
def test_thinning_keeps_the_ends_and_the_extremes(ys: list[float], limit: int) -> None:
    points = [(float(at), y) for at, y in enumerate(ys)]
    kept = thin(points, limit)
    assert len(kept) <= max(limit, 4)
    assert kept == sorted(set(kept))
    assert set(kept) <= set(points)
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert min(y for _, y in kept) == min(ys)
    assert max(y for _, y in kept) == max(ys)


def test_one_spike_among_many_points_is_kept() -> None:
    points = [(at / 10, 1.0) for at in range(100_000)]
    points[77_777] = (7777.7, 900.0)
    assert (7777.7, 900.0) in thin(points, 2000)
    assert len(thin(points, 2000)) <= 2000


def test_a_moved_guest_is_laid_out_from_its_start(move: Mover) -> None:
    report = move()
    timeline = Timeline.of(report)
    assert [span.phase for span in timeline.spans] == [Phase.PRECOPY, Phase.POSTCOPY]
    first, last = timeline.spans
    assert first.begin == 0.0
    assert first.end == last.begin
    outcome = report.run.outcome
    assert outcome is not None
    assert outcome.switched_at is not None
    switched = [mark for mark in timeline.marks if mark.kind == "switch"]
    assert [mark.at for mark in switched] == [round(outcome.switched_at - report.run.started_at, 4)]
    passes = [mark.text for mark in timeline.marks if mark.kind == "pass"]
    assert passes[0] == "pass 1 ended, 96.0 MB to send again"
    assert timeline.series["remaining"][0] == (0.0, 512_000_000.0)
    assert timeline.series["remaining"][-1][1] == 0.0


def test_the_guest_is_shown_shortly_before_and_after(move: Mover) -> None:
    timeline = Timeline.of(move())
    progress = timeline.series["progress"]
    assert -1.0 <= progress[0][0] < 0.0  # watched for 2 s before, of which 1 s is shown
    assert timeline.begin == progress[0][0]
    assert timeline.end == progress[-1][0]
    assert min(value for _, value in progress) == 0.0


def test_calling_off_leaves_its_mark(move: Mover) -> None:
    timeline = Timeline.of(move(Precopy(give_up_after=2)))
    assert [mark.text for mark in timeline.marks if mark.kind == "cancel"] == ["called off"]
    assert not [mark for mark in timeline.marks if mark.kind == "switch"]


def test_hundreds_of_passes_do_not_hide_the_chart(move: Mover) -> None:
    report = move()
    many = [
        Sample(
            at=report.run.started_at + number,
            phase=Phase.PRECOPY,
            pass_number=number + 2,
            pass_ended_at=report.run.started_at + number,
            total_bytes=1,
        )
        for number in range(1000)
    ]
    marks = Timeline.of(replace(report, samples=many)).marks
    assert 30 < len([mark for mark in marks if mark.kind == "pass"]) <= 60


def empty(journal: Journal, samples: list[Sample] | None = None) -> RunReport:
    run = journal.begin(
        guest="g", source="a", destination="b", policy="p", driver={}, started_at=100.0
    )
    return RunReport(run=run, samples=samples or [], events=[])


def test_a_run_without_samples_has_no_series(journal: Journal) -> None:
    timeline = Timeline.of(empty(journal))
    assert (timeline.begin, timeline.end) == (0.0, 0.0)
    assert not timeline.series
    assert not timeline.spans


def test_a_monitor_that_is_silent_for_a_while_does_not_bend_the_lines(journal: Journal) -> None:
    def sample(at: float, phase: Phase, left: int) -> Sample:
        total = 0 if phase is Phase.UNKNOWN else 900
        return Sample(at=at, phase=phase, total_bytes=total, remaining_bytes=left, bandwidth=left)

    samples = [
        sample(100.0, Phase.PRECOPY, 900),
        sample(101.0, Phase.UNKNOWN, 0),
        sample(102.0, Phase.PRECOPY, 700),
        sample(103.0, Phase.COMPLETED, 0),
    ]
    timeline = Timeline.of(empty(journal, samples))
    assert [span.phase for span in timeline.spans] == [
        Phase.PRECOPY,
        Phase.UNKNOWN,
        Phase.PRECOPY,
    ]
    assert timeline.series["remaining"] == [(0.0, 900.0), (2.0, 700.0), (3.0, 0.0)]
    assert timeline.series["bandwidth"] == [(0.0, 900.0), (2.0, 700.0)]
    assert "dirty_rate" not in timeline.series  # this driver does not know it


def test_what_is_no_number_is_left_out(journal: Journal) -> None:
    samples = [
        Sample(at=100.0 + at, phase=Phase.PRECOPY, total_bytes=9, bandwidth=bandwidth)
        for at, bandwidth in enumerate([5.0, math.nan, math.inf, 7.0])
    ]
    report = replace(empty(journal, samples), progress=[(100.0, 1.0), (100.1, math.nan)])
    timeline = Timeline.of(report)
    assert timeline.series["bandwidth"] == [(0.0, 5.0), (3.0, 7.0)]
    assert timeline.series["progress"] == [(0.0, 1.0)]
