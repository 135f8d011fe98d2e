"""Two methods, or two records, against each other: scenario by scenario, and in all."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from postcopy.bench.analysis import FIGURES, figure_of
from postcopy.bench.bootstrap import Estimate, interval, ratio
from postcopy.bench.record import Measured, Record
from postcopy.errors import NotFoundError, UsageError
from postcopy.paths import state_dir

__all__ = ["Comparison", "Pair", "Side", "compare", "find_record", "records_directory"]

_SAME = 1.0
# With fewer runs, all of them come out on the same side by chance too often: 1 time in 4 of 3.
_ENOUGH_RUNS = 5


def records_directory() -> Path:
    """Return where the records of benchmarks are."""
    return state_dir() / "bench"


def find_record(name: str) -> Record:
    """Return a record by its name, or from a file.

    :raises NotFoundError: when there is none.
    """
    path = Path(name)
    return Record.existing(
        path if path.suffix == ".jsonl" else records_directory() / f"{name}.jsonl"
    )


@dataclass(frozen=True, slots=True)
class Side:
    """One of two that are compared: a record, or one method of it.

    :param text: as users write it: ``RECORD`` or ``METHOD@RECORD``.
    """

    text: str
    record: Record
    method: str | None

    @classmethod
    def parse(cls, text: str) -> "Side":
        """Read ``RECORD`` or ``METHOD@RECORD``.

        :raises NotFoundError: when the record is not there, or has no run of that method.
        """
        method, at, name = text.rpartition("@")
        record = find_record(name)
        known = list(dict.fromkeys(run.method for run in record.runs))
        if at and method not in known:
            raise NotFoundError(
                f"{record.path} has no run of {method!r}", hint=f"it has: {', '.join(known)}"
            )
        return cls(text, record, method if at else None)

    def groups(self) -> dict[tuple[str, str], list[Measured]]:
        """Return its runs by scenario and method; of one method alone, without that one's name."""
        found: dict[tuple[str, str], list[Measured]] = {}
        for run in self.record.runs:
            if self.method in (None, run.method) and (run.ended or run.given_up):
                name = "" if self.method else run.method
                found.setdefault((run.scenario.name, name), []).append(run)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both on one scenario.

    :param method: empty where two methods are compared.
    :param a: the median of the first, and
    :param b: of the second.
    :param ratio: of the second to the first.
    :param runs: how many there are of the one of which there are fewer.
    :param bound: "at least" or "at most", where one of them was given up, and so cost more.
    """

    scenario: str
    method: str
    a: float
    b: float
    ratio: Estimate
    runs: int
    bound: str = ""

    @property
    def verdict(self) -> str:
        """What can be said."""
        if self.runs < _ENOUGH_RUNS:
            return f"too few runs: {self.runs}"
        if self.ratio.low > _SAME and self.bound != "at most":
            return "A is better"
        if self.ratio.high < _SAME and self.bound != "at least":
            return "B is better"
        return "no difference shown"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "scenario": self.scenario,
            "method": self.method or None,
            "a": self.a,
            "b": self.b,
            "ratio": self.ratio.to_dict(),
            "runs": self.runs,
            "bound": self.bound or None,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Both in all.

    :param figure: what they were compared by.
    :param paired: whether runs of the same repeat were made side by side.
    :param overall: the geometric mean of the ratios, with the interval of drawing scenarios.
    """

    a: str
    b: str
    figure: str
    paired: bool
    pairs: tuple[Pair, ...]
    overall: Estimate

    @property
    def verdict(self) -> str:
        """What can be said, in a sentence."""
        times = f"{self.overall.value:.2f} ({self.overall.low:.2f} to {self.overall.high:.2f})"
        of = f"{self.figure} of {self.b} is {times} times that of {self.a}"
        better = {"A is better": self.a, "B is better": self.b}
        wins = {
            name: sum(pair.verdict == verdict for pair in self.pairs)
            for verdict, name in better.items()
        }
        told = ", ".join(f"{name} is better on {count}" for name, count in wins.items())
        return f"{of}, over {len(self.pairs)} pairs: {told}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "a": self.a,
            "b": self.b,
            "figure": self.figure,
            "paired": self.paired,
            "pairs": [pair.to_dict() for pair in self.pairs],
            "overall": self.overall.to_dict(),
            "verdict": self.verdict,
        }


def compare(a: Side, b: Side, figure: str = "cost", price: float | None = None) -> Comparison:
    """Compare two methods, or two records method by method.

    :param figure: one of `FIGURES`.
    :param price: of a second, for costs; that of the first one's suite if None.
    :raises UsageError: when one is a method and the other a whole record, or they have nothing in
        common that has this figure.
    """
    if figure not in FIGURES:
        raise UsageError(f"there is no figure {figure!r}", hint=f"choose: {', '.join(FIGURES)}")
    if (a.method is None) != (b.method is None):
        raise UsageError(
            f"{a.text} and {b.text}: a method cannot be compared with a whole record",
            hint="METHOD@RECORD and METHOD@RECORD, or RECORD and RECORD",
        )
    price = price if price is not None else float(a.record.about.get("price", 0.1))
    paired = a.record.path.resolve() == b.record.path.resolve()
    ours, theirs = a.groups(), b.groups()
    found = [
        pair
        for key in ours
        if key in theirs and (pair := _pair(key, ours[key], theirs[key], figure, price, paired))
    ]
    if not found:
        raise UsageError(
            f"{a.text} and {b.text} have no scenario in common that tells {figure}",
            hint="both must have been measured on the same scenarios",
        )
    return Comparison(
        a=a.text,
        b=b.text,
        figure=figure,
        paired=paired,
        pairs=tuple(found),
        overall=_overall(found),
    )


def _pair(
    key: tuple[str, str],
    ours: Sequence[Measured],
    theirs: Sequence[Measured],
    figure: str,
    price: float,
    paired: bool,
) -> Pair | None:
    first, second = figure_of(ours, figure, price), figure_of(theirs, figure, price)
    against = ratio(second, first, paired=paired)
    if against is None:
        return None
    a_more, b_more = (any(run.given_up for run in runs) for runs in (ours, theirs))
    return Pair(
        scenario=key[0],
        method=key[1],
        a=_median(first),
        b=_median(second),
        ratio=against,
        runs=len(first.keys() & second.keys()) if paired else min(len(first), len(second)),
        bound="" if a_more == b_more else "at least" if b_more else "at most",
    )


def _median(values: Mapping[int, float]) -> float:
    return statistics.median(values.values())


def _overall(pairs: Sequence[Pair]) -> Estimate:
    logs = [math.log(pair.ratio.value) for pair in pairs if pair.ratio.value > 0]
    if not logs:
        return Estimate(0.0, 0.0, 0.0)

    def drawn(random: Random) -> float:
        return math.exp(statistics.fmean(random.choices(logs, k=len(logs))))

    return interval(math.exp(statistics.fmean(logs)), drawn)
