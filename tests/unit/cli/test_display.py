import pytest

from postcopy.cli.display import LiveDisplay, PlainDisplay, Silent, display_for
from postcopy.migration import Action, Phase, Sample
from postcopy.migration.event import Acted, Decided, Noted, PhaseChanged, Recovered, SampleTaken

SAMPLE = Sample(
    at=1.0, phase=Phase.PRECOPY, pass_number=2, total_bytes=500_000_000,
    remaining_bytes=118_000_000, bandwidth=118e6, dirty_rate=25e6,
)  # fmt: skip
EVENTS = (
    SampleTaken(SAMPLE),
    PhaseChanged(1.0, Phase.SETUP, Phase.PRECOPY),
    Decided(1.0, Action.SWITCH, "passes do not shrink"),
    Acted(1.0, Action.SWITCH, 0.004),
    Noted(1.0, "something odd"),
)


def test_plain_lines_tell_what_changes(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainDisplay("web1", "beta") as display:
        for event in EVENTS:
            display(event)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert all("web1 -> beta: " in line for line in lines)
    assert "precopy, pass 2, 118 MB left, 118 MB/s, 1.00 s to go" in lines[0]
    assert "passes do not shrink" in lines[2]
    assert "4.0 ms after the pass" in lines[3]
    assert "note: something odd" in lines[4]


def test_the_panel_shows_the_last_decision(capsys: pytest.CaptureFixture[str]) -> None:
    with LiveDisplay("web[1]", "beta") as display:
        for event in EVENTS:
            display(event)
    err = capsys.readouterr().err
    for text in ("web[1] -> beta", "precopy", "118 MB left", "pass 2", "4.0 ms after the pass"):
        assert text in err


def test_a_step_of_a_recovery_stands_above_the_panel_and_not_in_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with LiveDisplay("web1", "beta") as display:
        for event in (*EVENTS, Recovered(2.0, "recovered: the migration goes on")):
            display(event)
    assert capsys.readouterr().err.count("recovered: the migration goes on") == 1


def test_the_copying_of_disks_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    copying = [
        SampleTaken(Sample(at=at, phase=Phase.SETUP, status=f"copying disks: {at} MB"))
        for at in (1.0, 2.0)
    ]
    with PlainDisplay("web1", "beta") as plain:
        plain(copying[0])
    assert "web1 -> beta: copying disks: 1.0 MB" in capsys.readouterr().err
    with LiveDisplay("web1", "beta") as live:
        for event in copying:
            live(event)
    assert "copying disks: 2.0 MB" in capsys.readouterr().err


def test_programs_get_silence() -> None:
    assert isinstance(display_for("g", "d", "json"), Silent)
    assert isinstance(display_for("g", "d", "table"), PlainDisplay)
