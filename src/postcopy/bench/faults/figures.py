"""What a campaign came to, in figures: what became of guests, by what broke under them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from postcopy.bench.faults.campaign import Result
from postcopy.bench.faults.floors import RIVALS
from postcopy.bench.faults.judge import Fate
from postcopy.bench.faults.model import Kind
from postcopy.bench.statistics import quantile

__all__ = ["Row", "Spread", "Summary", "summarize"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds: how many there are, their median, their 95th percentile, the longest."""

    count: int
    median: float | None
    p95: float | None
    longest: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return the spread of some."""
        return cls(
            len(values), quantile(values, 0.5), quantile(values, 0.95), max(values, default=None)
        )


@dataclass(frozen=True, slots=True)
class Row:
    """The runs in which something broke.

    :ivar kind: what did; None for all runs of the floor. A run with several faults counts for each.
    :ivar fates: how many guests came to what.
    :ivar unavoidable: how many of them came to something that could not be helped.
    :ivar noticed: from a cut in post-copy until it was told.
    :ivar back: from the link's return until memory moved again.
    """

    floor: str
    kind: Kind | None
    runs: int
    fates: dict[Fate, int]
    unavoidable: int
    noticed: Spread
    back: Spread


@dataclass(frozen=True, slots=True)
class Summary:
    """A campaign, or what there is of it.

    :ivar failed: the runs in which something happened to a guest that need not have, a rival's
        left out.
    :ivar untried: the runs that say nothing.
    :ivar by_hand: the runs in which a command gave up and another had to be started.
    """

    rows: tuple[Row, ...]
    failed: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()
    false_alarms: int = 0
    not_reached: int = 0
    fates: dict[Fate, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return asdict(self)


def summarize(results: Sequence[Result]) -> Summary:
    """Return the figures of some runs."""
    rows = []
    for floor in dict.fromkeys(result.plan.floor for result in results):
        here = [result for result in results if result.plan.floor == floor]
        for kind in Kind:
            struck = [result for result in here if kind in _kinds(result)]
            if struck:
                rows.append(_row(floor, kind, struck))
        rows.append(_row(floor, None, here))
    return Summary(
        tuple(rows),
        failed=tuple(
            one.plan.name for one in results if one.ruling.failed and one.plan.floor not in RIVALS
        ),
        untried=tuple(one.plan.name for one in results if one.ruling.fate is Fate.UNTRIED),
        by_hand=tuple(
            one.plan.name for one in results if any(c.by_hand for c in one.evidence.commands)
        ),
        false_alarms=sum(result.false_alarms for result in results),
        not_reached=sum(mark.at is None for result in results for mark in result.evidence.marks),
        fates=_fates(results),
    )


def _kinds(result: Result) -> set[Kind]:
    return {mark.fault.kind for mark in result.evidence.marks if mark.at is not None}


def _fates(results: Sequence[Result]) -> dict[Fate, int]:
    return dict(Counter(result.ruling.fate for result in results))


def _row(floor: str, kind: Kind | None, results: Sequence[Result]) -> Row:
    found = [
        timing
        for result in results
        for timing in result.timings
        if kind is None or timing.kind is kind
    ]
    return Row(
        floor,
        kind,
        len(results),
        _fates(results),
        sum(result.ruling.unavoidable for result in results),
        Spread.of([t.noticed_seconds for t in found if t.noticed_seconds is not None]),
        Spread.of([t.back_seconds for t in found if t.back_seconds is not None]),
    )
