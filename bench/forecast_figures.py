"""Forecasts and what came of them: the file that they are kept in, the figures, a table."""

import json
import math
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from postcopy.migration import Fate

__all__ = ["Results", "summary", "table"]

FIGURES = {
    "total_seconds": "total time",
    "transferred_bytes": "bytes sent",
    "downtime_seconds": "downtime",
    "longest_freeze_seconds": "longest freeze",
    "guest_seconds_lost": "guest-seconds lost",
}
# What the forecasts are held to, and `postcopy plan` for the time that it takes.
MEDIAN, MOST, HELD, PLAN_SECONDS = 0.07, 0.15, 0.9, 8.0


class Results:
    """Scenarios that have been played, a line each; a last line that is torn is passed over.

    :param path: made with the first result.
    :param wanted: the scenarios as they are drawn, by number. Others in the file are left alone.
    :raises SystemExit: when the file holds other scenarios by these numbers, or no results.
    """

    def __init__(self, path: Path, wanted: Mapping[int, Mapping[str, Any]]) -> None:
        self.path = path
        self.wanted = wanted
        self._found: dict[int, dict[str, Any]] = {}
        content = path.read_bytes() if path.exists() else b""
        self._whole = content.rfind(b"\n") + 1
        for line in content[: self._whole].splitlines():
            self._read(line)

    @property
    def missing(self) -> list[int]:
        """The numbers of the scenarios that are still to be played."""
        return [number for number in self.wanted if number not in self._found]

    @property
    def done(self) -> list[dict[str, Any]]:
        """What is known of those that are wanted, in the order of their numbers."""
        return [self._found[number] for number in self.wanted if number in self._found]

    def add(self, result: dict[str, Any]) -> None:
        """Write a result down, and return when it is on disk."""
        text = json.dumps(result).encode() + b"\n"
        with self.path.open("ab") as file:
            file.truncate(self._whole)  # whatever a killed process has left of its last line
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self._whole += len(text)
        self._found[result["scenario"]["number"]] = result

    def _read(self, line: bytes) -> None:
        try:
            result = json.loads(line)
            number = result["scenario"]["number"]
            alike = self.wanted.get(number, result["scenario"]) == result["scenario"]
        except (ValueError, TypeError, KeyError) as error:
            raise SystemExit(f"{self.path} holds no forecasts: {error!r}") from error
        if not alike:
            raise SystemExit(f"{self.path} is of another seed: name another file with --out")
        self._found[number] = result


def summary(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how good the forecasts were.

    ``drawn`` is the total time of the moves by the methods that were drawn; ``all`` takes in those
    by pre-copy alone. Only moves that were completed can be rated.
    """
    trials = [result["moves"][0] for result in results]
    right = [(m["expected"]["ends"] >= 0.5) == (m["fate"] == Fate.COMPLETED) for m in trials]
    moves = [move for result in results for move in result["moves"]]
    moved = [move for move in moves if move["fate"] == Fate.COMPLETED]
    drawn = [r["moves"][1] for r in results if r["moves"][1]["fate"] == Fate.COMPLETED]
    return {
        "scenarios": len(results),
        "convergence_right": sum(right),
        "drawn": _rated(drawn, "total_seconds"),
        "all": {figure: _rated(moved, figure) for figure in FIGURES},
        "plan_seconds_most": max((m["plan_seconds"] for m in moves), default=None),
    }


def table(found: Mapping[str, Any]) -> str:
    """Return a summary for people, as Markdown."""
    total, scenarios = found["all"]["total_seconds"], found["scenarios"]
    ninetieth, most = total["error_90th_percentile"], found["plan_seconds_most"]
    took = "-" if most is None else f"{most:.1f} s"
    lines = [
        f"Scenarios: {scenarios}; moves that were completed: {total['moves']}\n",
        _line("", "wanted", "seen"),
        _line(*["---"] * 3),
        _line("total time, error in the median", _share(MEDIAN), _share(total["error_median"])),
        _line("total time, error at the 90th percentile", _share(MOST), _share(ninetieth)),
        _line("total time in its 90 % interval", _share(HELD), _held(total)),
        _line(
            "converges or not, said rightly", "all", f"{found['convergence_right']} of {scenarios}"
        ),
        _line("measured and forecast, at most", f"{PLAN_SECONDS:.0f} s", took),
        "",
        _line("", "moves", "error in the median", "at the 90th percentile", "in its interval"),
        _line(*["---"] * 5),
        *(_rating(words, found["all"][name]) for name, words in FIGURES.items()),
        _rating("total time, methods drawn alone", found["drawn"]),
    ]
    return "\n".join(lines)


def _rating(words: str, rated: Mapping[str, Any]) -> str:
    errors = (_share(rated[f"error_{which}"]) for which in ("median", "90th_percentile"))
    return _line(words, str(rated["moves"]), *errors, _held(rated))


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _held(rated: Mapping[str, Any]) -> str:
    return f"{rated['held']} of {rated['moves']}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _rated(moves: Iterable[Mapping[str, Any]], figure: str) -> dict[str, Any]:
    """Return how far off a figure was. JSON has no infinity: there the error is None."""
    errors, held = [], []
    for one in moves:
        expected, came = one["expected"][figure], one[figure]
        if came is None:
            continue
        median = expected["median"]
        if came > 0:  # a share of nothing says nothing
            errors.append(abs(median / came - 1) if median is not None else math.inf)
        low, high = expected["low"], expected["high"]
        held.append(low is not None and low <= came and (high is None or came <= high))
    ordered = sorted(errors)
    ninetieth = ordered[min(len(ordered) - 1, round(0.9 * len(ordered) - 0.5))] if ordered else None
    return {
        "moves": len(held),
        "error_median": _finite(statistics.median(errors)) if errors else None,
        "error_90th_percentile": _finite(ninetieth),
        "held": sum(held),
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
