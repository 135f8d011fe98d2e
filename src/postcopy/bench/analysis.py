"""What the runs of a suite come to: medians, the oracle, and what each method costs against it.

The oracle of a scenario is the fixed moment with the least median cost among those that were swept:
what somebody would have chosen who knew the guest beforehand. Chosen after the fact from runs that
scatter, it flatters itself a little, which is unfair to whoever is compared with it.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from postcopy.bench.bootstrap import Estimate, median, ratio
from postcopy.bench.method import Method
from postcopy.bench.moment import Moment
from postcopy.bench.record import Measured
from postcopy.bench.scenario import Scenario

__all__ = ["FIGURES", "Analysis", "Case", "Row", "Summary", "analyse", "figure_of"]

FIGURES: dict[str, Callable[[Measured, float], float | None]] = {
    "cost": lambda run, price: run.cost(price),
    "total": lambda run, _: run.total_seconds,
    "freeze": lambda run, _: run.longest_freeze_seconds,
    "lost": lambda run, _: run.guest_seconds_lost,
    "sent": lambda run, _: run.transferred_bytes,
    "p99": lambda run, _: run.latency.during.get("p99") if run.latency else None,
}
"""What runs can be compared by."""


def figure_of(runs: Iterable[Measured], figure: str, price: float) -> dict[int, float]:
    """Return one figure of each run that says it, by the run's repeat."""
    found = ((run.repeat, FIGURES[figure](run, price)) for run in runs)
    return {repeat: value for repeat, value in found if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One method on one scenario.

    :param runs: how many were measured to the end.
    :param given_up: how many of them were called off: all figures are then the least possible.
    :param failed: how many more went wrong.
    :param wrong: how many guests did not come through intact.
    :param errors: what was said of those and of the failed ones, each once.
    :param waits: of a server's users, percentiles by name, before the move and during it: the
        medians of all runs.
    :param ratio: the suite's figure, divided by the reference's.
    """

    method: str
    runs: int
    given_up: int
    failed: int
    wrong: int
    errors: tuple[str, ...] = ()
    cost: Estimate | None = None
    total: Estimate | None = None
    freeze: Estimate | None = None
    lost: Estimate | None = None
    sent: Estimate | None = None
    p99: Estimate | None = None
    waits: tuple[Mapping[str, float], Mapping[str, float]] | None = None
    switched_after_seconds: float | None = None
    ratio: Estimate | None = None

    @property
    def p99_before(self) -> float | None:
        """How long a server's users waited before the move, for 99 % of all moments."""
        return self.waits[0].get("p99") if self.waits else None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        figures = {
            name: None if (value := getattr(self, name)) is None else value.to_dict()
            for name in (*FIGURES, "ratio")
        }
        return {
            "method": self.method,
            "runs": self.runs,
            "given_up": self.given_up,
            "failed": self.failed,
            "wrong": self.wrong,
            "errors": list(self.errors),
            "switched_after_seconds": self.switched_after_seconds,
            "waits": [dict(each) for each in self.waits] if self.waits else None,
            **figures,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One scenario.

    :param oracle: the fixed moment that cost least; None where no moments were swept.
    :param reference: what ratios are to: the oracle, or else the first method that moved the guest.
    """

    scenario: Scenario
    rows: tuple[Row, ...]
    oracle: str | None
    reference: str

    def row(self, method: str) -> Row | None:
        """Return a method's row."""
        return next((row for row in self.rows if row.method == method), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One method over all scenarios: the median, the least and the greatest of its ratios.

    Where it was called off its ratio counts as infinite: it did not move the guest.

    :param scenarios: how many there are.
    :param given_up: in how many of them it was called off.
    """

    method: str
    scenarios: int
    given_up: int
    median: float
    least: float
    greatest: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "method": self.method,
            "scenarios": self.scenarios,
            "given_up": self.given_up,
            **{name: _finite(getattr(self, name)) for name in ("median", "least", "greatest")},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """All of a record.

    :param figure: what methods are set against each other by.
    """

    figure: str
    price: float
    cases: tuple[Case, ...]
    summaries: tuple[Summary, ...]

    @property
    def sound(self) -> bool:
        """Whether no run failed, and every guest came through intact."""
        return not any(row.failed or row.wrong for case in self.cases for row in case.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "figure": self.figure,
            "price": self.price,
            "scenarios": [
                {
                    "scenario": case.scenario.to_dict(),
                    "name": case.scenario.name,
                    "oracle": case.oracle,
                    "reference": case.reference,
                    "methods": [row.to_dict() for row in case.rows],
                }
                for case in self.cases
            ],
            "methods": [each.to_dict() for each in self.summaries],
        }


def analyse(runs: Sequence[Measured], price: float, figure: str = "cost") -> Analysis:
    """Return what some runs come to.

    :param figure: one of `FIGURES`: what ratios are of. Oracles are those of cost.
    :param price: guest-seconds that a second of migration is worth.
    """
    by_scenario: dict[Scenario, dict[str, list[Measured]]] = {}
    for run in runs:
        by_scenario.setdefault(run.scenario, {}).setdefault(run.method, []).append(run)
    cases = tuple(_case(scenario, found, figure, price) for scenario, found in by_scenario.items())
    return Analysis(figure=figure, price=price, cases=cases, summaries=_summaries(cases))


def _case(scenario: Scenario, found: dict[str, list[Measured]], figure: str, price: float) -> Case:
    methods = list(found)  # in the order of the runs
    oracle = _oracle(found, price) if figure == "cost" else None
    reference = oracle or _first_that_moved(methods, found)
    against = figure_of(_measured(found[reference]), figure, price)
    rows = tuple(_row(method, found[method], figure, against, price) for method in methods)
    return Case(scenario=scenario, rows=rows, oracle=oracle, reference=reference)


def _first_that_moved(methods: Sequence[str], found: dict[str, list[Measured]]) -> str:
    moved = [method for method in methods if any(run.ended for run in found[method])]
    return (moved or methods)[0]


def _measured(runs: Iterable[Measured]) -> list[Measured]:
    return [run for run in runs if run.ended or run.given_up]


def _oracle(found: dict[str, list[Measured]], price: float) -> str | None:
    methods = {text: Method.parse(text) for text in found}
    if not any(isinstance(method.policy, Moment) for method in methods.values()):
        return None
    costs = {}
    for text, method in methods.items():
        runs = _measured(found[text])
        if method.fixed and runs and all(run.ended for run in runs):
            costs[text] = statistics.median(run.cost(price) for run in runs)
    return min(costs, key=lambda text: costs[text]) if costs else None


def _row(
    method: str, all_runs: list[Measured], figure: str, against: dict[int, float], price: float
) -> Row:
    runs = _measured(all_runs)

    def estimate(name: str) -> Estimate | None:
        values = list(figure_of(runs, name, price).values())
        return median(values) if values else None

    switched = [r.switched_after_seconds for r in runs if r.switched_after_seconds is not None]
    return Row(
        method=method,
        runs=len(runs),
        given_up=sum(run.given_up for run in runs),
        failed=len(all_runs) - len(runs),
        wrong=sum(not run.intact for run in runs),
        errors=tuple(dict.fromkeys(r.error for r in all_runs if r.error and not r.given_up)),
        **{name: estimate(name) for name in FIGURES},
        waits=_waits(runs),
        switched_after_seconds=statistics.median(switched) if switched else None,
        ratio=ratio(figure_of(runs, figure, price), against),
    )


def _waits(runs: Sequence[Measured]) -> tuple[Mapping[str, float], Mapping[str, float]] | None:
    latencies = [run.latency for run in runs if run.latency is not None]
    if not latencies:
        return None

    def medians(each: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
        known = [one for one in each if one]
        return {name: statistics.median(one[name] for one in known) for name in (known or [{}])[0]}

    return medians([one.before for one in latencies]), medians([one.during for one in latencies])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _summaries(cases: Sequence[Case]) -> tuple[Summary, ...]:
    methods = dict.fromkeys(row.method for case in cases for row in case.rows)
    found = []
    for method in methods:
        rows = [row for case in cases if (row := case.row(method)) and row.ratio is not None]
        ratios = [math.inf if row.given_up else row.ratio.value for row in rows if row.ratio]
        if ratios:
            found.append(
                Summary(
                    method=method,
                    scenarios=len(rows),
                    given_up=sum(row.given_up > 0 for row in rows),
                    median=statistics.median(ratios),
                    least=min(ratios),
                    greatest=max(ratios),
                )
            )
    return tuple(found)
