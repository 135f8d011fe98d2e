"""A run in figures and in words: what the verdict and the comparison table say."""

import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from postcopy.migration import Fate, Outcome
from postcopy.report.data import GuestFacts, RunReport
from postcopy.units import format_bytes, format_seconds

__all__ = ["Tone", "Verdict", "verdict_on", "RunFigures", "figures_of", "Row", "comparison"]

UNKNOWN = "\N{EN DASH}"


class Tone(enum.StrEnum):
    """How good a piece of news is."""

    GOOD = "good"
    BAD = "bad"
    OPEN = "open"
    """Neither: called off, not checked, not known."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One sentence or two on how a run went."""

    tone: Tone
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """The figures by which runs are compared; None where unknown."""

    outcome: str
    total_seconds: float | None
    limit_ratio: float | None
    downtime_seconds: float | None
    longest_freeze_seconds: float | None
    guest_seconds_lost: float | None
    bytes_sent: int | None
    passes: int | None
    pages_requested: int | None
    memory: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the comparison table: a figure, what it means, and its value for each run."""

    label: str
    note: str
    cells: list[str]


def figures_of(report: RunReport) -> RunFigures:
    """Return a run's figures: the hypervisor's account, or else what its last samples said."""
    outcome = report.run.outcome
    guest = report.guest or GuestFacts()
    figures = outcome.figures if outcome else None
    switched = any(sample.phase.spread for sample in report.samples)
    seen_requests = max((sample.requests for sample in report.samples), default=0)
    seen_bytes = max((sample.transferred_bytes for sample in report.samples), default=0)
    seen_passes = max((sample.pass_number for sample in report.samples), default=0)
    requested = figures.postcopy_requests if figures else None
    return RunFigures(
        outcome=outcome.fate if outcome else "not on record",
        total_seconds=outcome.total_seconds if outcome else None,
        limit_ratio=guest.limit_ratio,
        downtime_seconds=figures.downtime_seconds if figures else None,
        longest_freeze_seconds=guest.longest_freeze_seconds,
        guest_seconds_lost=guest.guest_seconds_lost,
        bytes_sent=(figures.transferred_bytes if figures else None) or seen_bytes or None,
        passes=(figures.passes if figures else None) or seen_passes or None,
        # Without a switch no page can have been requested, whatever a counter of 0 says.
        pages_requested=(requested or seen_requests) if switched else None,
        memory=_memory(guest),
    )


def comparison(reports: Sequence[RunReport]) -> list[Row]:
    """Return the table that sets the runs side by side."""
    all_figures = [figures_of(report) for report in reports]

    def row(label: str, note: str, cell: Callable[[RunFigures], str]) -> Row:
        return Row(label, note, [cell(figures) for figures in all_figures])

    return [
        row("Outcome", "", lambda f: f.outcome),
        row("Total time", "", lambda f: _or_dash(f.total_seconds, format_seconds)),
        row(
            "Ratio to the wire\u2019s limit",
            "1 would be perfect",
            lambda f: _or_dash(f.limit_ratio, "{:.2f}".format),
        ),
        row(
            "Downtime",
            "by the hypervisor\u2019s account",
            lambda f: _or_dash(f.downtime_seconds, format_seconds),
        ),
        row(
            "Longest freeze",
            "seen from outside",
            lambda f: _or_dash(f.longest_freeze_seconds, format_seconds),
        ),
        row(
            "Guest time lost",
            "standstill and slowdown",
            lambda f: _or_dash(f.guest_seconds_lost, format_seconds),
        ),
        row("Sent", "", lambda f: _or_dash(f.bytes_sent, format_bytes)),
        row("Passes", "", lambda f: _or_dash(f.passes, "{:,}".format)),
        row(
            "Pages requested",
            "by the destination",
            lambda f: _or_dash(f.pages_requested, "{:,}".format),
        ),
        row("Memory", "every page against its shadow", lambda f: f.memory or UNKNOWN),
    ]


def verdict_on(report: RunReport) -> Verdict:
    """Say whether the guest arrived and whether its memory is intact."""
    tone, arrival = _arrival(report)
    guest = report.guest or GuestFacts()
    if guest.panicked or guest.rebooted or guest.pages_wrong:
        trouble = [
            *(["it panicked"] if guest.panicked else []),
            *(["it rebooted"] if guest.rebooted else []),
            *([f"its memory is damaged: {_wrong_pages(guest)}"] if guest.pages_wrong else []),
        ]
        return Verdict(Tone.BAD, f"{arrival} But {', '.join(trouble)}.")
    if guest.pages_wrong is None:
        unchecked = " Its memory was not checked." if tone is Tone.GOOD else ""
        return Verdict(tone, arrival + unchecked)
    if guest.pages_checked == 0:
        return Verdict(Tone.OPEN, f"{arrival} None of its memory was checked.")
    checked = (
        f"all {guest.pages_checked:,} pages were checked"
        if guest.pages_checked is not None
        else "no page was found wrong"
    )
    return Verdict(tone, f"{arrival} Its memory is intact: {checked}.")


def _arrival(report: RunReport) -> tuple[Tone, str]:
    run, outcome = report.run, report.run.outcome
    if outcome is None:
        return Tone.OPEN, f"How {run.guest} fared is not on record: the run may still be going on."
    took = format_seconds(outcome.total_seconds)
    error = f" ({outcome.error})" if outcome.error else ""
    match outcome.fate:
        case Fate.COMPLETED:
            return Tone.GOOD, f"{run.guest} arrived on {run.destination} in {took}."
        case Fate.CANCELLED:
            return Tone.OPEN, f"Called off after {took}: {run.guest} stays on {run.source}."
        case Fate.FAILED if not _was_spread(report, outcome):
            return Tone.BAD, f"Failed after {took}{error}: {run.guest} stays on {run.source}."
        case Fate.FAILED:
            return Tone.BAD, f"Failed in post-copy after {took}{error}: {run.guest} may be lost."
        case Fate.INTERRUPTED:
            return Tone.BAD, (
                f"The connection broke after {took}{error}: {run.guest} stands still, its memory"
                f" spread over {run.source} and {run.destination}."
            )
        case Fate.ASTRAY:
            return Tone.BAD, (
                f"{run.guest} runs on {run.destination} after {took}, and what manages it takes it"
                f" to be on {run.source}{error}."
            )
        case Fate.DETACHED:
            return Tone.OPEN, f"{run.guest} was on its way when the watching stopped after {took}."
        case Fate.UNKNOWN:
            return Tone.OPEN, f"After {took} nobody could say how {run.guest} fares{error}."


def _was_spread(report: RunReport, outcome: Outcome) -> bool:
    return outcome.switched_at is not None or any(s.phase.spread for s in report.samples)


def _memory(guest: GuestFacts) -> str | None:
    trouble = [
        *(["panicked"] if guest.panicked else []),
        *(["rebooted"] if guest.rebooted else []),
    ]
    if guest.pages_wrong is not None:
        if guest.pages_wrong:
            trouble.append(_wrong_pages(guest))
        elif guest.pages_checked == 0:
            trouble.append("no page checked")
        elif not trouble:
            pages = guest.pages_checked
            return "intact" if pages is None else f"intact, {pages:,} pages"
    return ", ".join(trouble) or None


def _wrong_pages(guest: GuestFacts) -> str:
    of = "" if guest.pages_checked is None else f" of {guest.pages_checked:,}"
    return f"{guest.pages_wrong:,}{of} pages wrong"


def _or_dash(value: float | None, words: Callable[[float], str]) -> str:
    return UNKNOWN if value is None or not math.isfinite(value) else words(value)
