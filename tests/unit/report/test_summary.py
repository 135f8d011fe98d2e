from dataclasses import replace

import pytest

from postcopy.migration import Fate, Figures, Outcome, Phase
from postcopy.policy import Precopy
from postcopy.report import GuestFacts, RunReport
from postcopy.report.summary import Tone, comparison, figures_of, verdict_on
from tests.unit.report.conftest import INTACT, Mover


def ended(report: RunReport, fate: Fate, **changes: object) -> RunReport:
    outcome = Outcome(fate=fate, phase=Phase.UNKNOWN, started_at=0.0, ended_at=4.5)
    outcome = replace(outcome, **changes)  # type: ignore[arg-type]
    return replace(report, run=replace(report.run, outcome=outcome))


def cells(report: RunReport) -> dict[str, str]:
    return {row.label: row.cells[0] for row in comparison([report])}


def test_a_guest_that_arrived_whole_is_good_news(move: Mover) -> None:
    verdict = verdict_on(move())
    assert verdict.tone is Tone.GOOD
    assert verdict.text == (
        "busy arrived on beta in 5.97 s. Its memory is intact: all 90,112 pages were checked."
    )


def test_arriving_is_not_enough(move: Mover) -> None:
    damaged = verdict_on(move(facts=replace(INTACT, pages_wrong=3)))
    assert damaged.tone is Tone.BAD
    assert "3 of 90,112 pages wrong" in damaged.text
    died = verdict_on(move(facts=replace(INTACT, panicked=True, rebooted=True)))
    assert died.tone is Tone.BAD
    assert died.text.endswith("But it panicked, it rebooted.")
    both = verdict_on(move(facts=replace(INTACT, panicked=True, pages_wrong=3, pages_checked=None)))
    assert both.text.endswith("But it panicked, its memory is damaged: 3 pages wrong.")


@pytest.mark.parametrize("facts", [None, GuestFacts(), replace(INTACT, pages_wrong=None)])
def test_memory_nobody_checked_is_not_called_intact(move: Mover, facts: GuestFacts | None) -> None:
    text = verdict_on(move(facts=facts)).text
    assert "was not checked" in text
    assert "intact" not in text


def test_no_page_checked_is_no_proof(move: Mover) -> None:
    report = move(facts=replace(INTACT, pages_checked=0))
    verdict = verdict_on(report)
    assert verdict.tone is Tone.OPEN
    assert "intact" not in verdict.text
    assert cells(report)["Memory"] == "no page checked"


def test_a_run_called_off_says_where_the_guest_is(move: Mover) -> None:
    verdict = verdict_on(move(Precopy(give_up_after=2), facts=None))
    assert verdict.tone is Tone.OPEN
    assert "busy stays on alpha" in verdict.text


def test_a_broken_connection_is_told_as_it_is(move: Mover) -> None:
    verdict = verdict_on(move(break_after=0.3, facts=None))
    assert verdict.tone is Tone.BAD
    assert "stands still, its memory spread over alpha and beta" in verdict.text


@pytest.mark.parametrize("fate", Fate)
def test_every_fate_has_its_words(move: Mover, fate: Fate) -> None:
    text = verdict_on(ended(move(), fate, error="no route to host")).text
    assert "busy" in text
    assert text.endswith(".")
    told = (Fate.FAILED, Fate.INTERRUPTED, Fate.ASTRAY, Fate.UNKNOWN)
    assert ("no route" in text) == (fate in told)


def test_failing_before_and_in_postcopy_differ(move: Mover) -> None:
    before = ended(move(Precopy(give_up_after=2)), Fate.FAILED)
    assert "stays on alpha" in verdict_on(before).text
    within = ended(move(), Fate.FAILED)
    assert "may be lost" in verdict_on(within).text


def test_a_run_whose_end_nobody_saw(move: Mover) -> None:
    report = move()
    open_end = replace(report, run=replace(report.run, outcome=None))
    assert verdict_on(open_end).tone is Tone.OPEN
    assert cells(open_end)["Outcome"] == "not on record"
    assert cells(open_end)["Total time"] == "\N{EN DASH}"


def test_unknown_figures_are_dashes(move: Mover) -> None:
    shown = cells(replace(move(Precopy(give_up_after=2)), guest=None))
    dash = "\N{EN DASH}"
    for label in ("Ratio to the wire\u2019s limit", "Longest freeze", "Guest time lost", "Memory"):
        assert shown[label] == dash
    assert shown["Pages requested"] == dash  # it never switched: 0 would be a claim
    assert shown["Passes"] != dash


def test_the_hypervisors_own_figures_come_first(move: Mover) -> None:
    figures = Figures(
        total_seconds=4.9,
        downtime_seconds=0.021,
        transferred_bytes=575_000_000,
        passes=3,
        postcopy_requests=1823,
    )
    report = ended(move(), Fate.COMPLETED, figures=figures)
    assert list(cells(report).values()) == [
        "completed",
        "4.90 s",
        "1.28",
        "21 ms",
        "144 ms",
        "610 ms",
        "575 MB",
        "3",
        "1,823",
        "intact, 90,112 pages",
    ]


def test_without_them_the_samples_speak(move: Mover) -> None:
    report = move()
    silent = figures_of(ended(report, Fate.COMPLETED))
    assert silent.bytes_sent == report.samples[-1].transferred_bytes
    assert silent.passes == report.samples[-1].pass_number
    assert silent.downtime_seconds is None
