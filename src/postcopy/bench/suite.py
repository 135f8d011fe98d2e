"""A suite: which scenarios, which methods, how often, in which order. All of it is data."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from postcopy.bench.analysis import FIGURES
from postcopy.bench.method import Method
from postcopy.bench.record import Measured
from postcopy.bench.scenario import Scenario
from postcopy.errors import NotFoundError, UsageError

__all__ = ["Planned", "Suite", "find_suite", "suite_names"]

_KEYS = ("about", "figure", "price", "repeats", "patience", "methods", "defaults", "scenarios")
_MOST_RUNS = 100_000


@dataclass(frozen=True, slots=True)
class Planned:
    """One run that a suite consists of."""

    scenario: Scenario
    method: Method
    repeat: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells it from every other run of the suite; `Measured.key` is the same."""
        return self.scenario.name, self.method.text, self.repeat


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """What is measured.

    :param about: what for, in a sentence.
    :param cases: each scenario, with the methods that it is moved by.
    :param figure: one of `FIGURES`: what methods are set against each other by.
    :param price: guest-seconds that a second of migration is worth, for the costs.
    :param patience: seconds after which a move that has neither ended nor switched is called off.
    """

    name: str
    cases: tuple[tuple[Scenario, tuple[Method, ...]], ...]
    about: str = ""
    figure: str = "cost"
    repeats: int = 3
    price: float = 0.1
    patience: float = 20.0

    @property
    def runs(self) -> list[Planned]:
        """All runs, in their order: guest by guest, and the methods in turns.

        Within a scenario each method comes once in each repeat, and each repeat begins with the
        next method, so that none always follows the same one, and a machine whose speed drifts is
        unfair to none.
        """
        return [
            Planned(scenario, method, repeat)
            for scenario, methods in self.cases
            for repeat in range(self.repeats)
            for method in _rotated(methods, repeat)
        ]

    def in_order(self, runs: Iterable[Measured]) -> list[Measured]:
        """Return runs that are on record in the order of the suite, whenever they were made.

        What the suite does not have comes last. The first method of a guest is the one that others
        are set against where there is no oracle.
        """
        pairs = [(scenario.name, each.text) for scenario, methods in self.cases for each in methods]
        places = {pair: place for place, pair in enumerate(pairs)}

        def place(run: Measured) -> tuple[int, int]:
            return places.get((run.scenario.name, run.method), len(places)), run.repeat

        return sorted(runs, key=place)

    def to_dict(self) -> dict[str, Any]:
        """Return what a record tells of it."""
        return {
            "name": self.name,
            "about": self.about,
            "figure": self.figure,
            "price": self.price,
            "patience": self.patience,
        }

    @classmethod
    def parse(cls, name: str, data: object) -> "Suite":
        """Read a suite from what YAML makes of its file.

        :raises UsageError: when something in it makes no sense; the message says what.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("scenarios"), list):
            raise UsageError(f"suite {name}: no list of scenarios", hint=_HINT)
        for key in data:
            if key not in _KEYS:
                raise UsageError(
                    f"suite {name}: it has no {key!r}", hint=f"it may have: {', '.join(_KEYS)}"
                )
        defaults = data.get("defaults") or {}
        if not isinstance(defaults, Mapping):
            raise UsageError(f"suite {name}: defaults: not a mapping", hint=_HINT)
        cases: dict[Scenario, tuple[Method, ...]] = {}
        for number, entry in enumerate(data["scenarios"], start=1):
            where = f"suite {name}, scenario {number}"
            try:
                for scenario, methods in _cases(entry, defaults, data.get("methods")):
                    if scenario in cases:
                        raise UsageError(f"{scenario.name} comes twice")
                    cases[scenario] = methods
            except UsageError as error:
                raise UsageError(f"{where}: {error.message}", hint=error.hint or _HINT) from error
        figure = str(data.get("figure", "cost"))
        if figure not in FIGURES:
            raise UsageError(
                f"suite {name}: there is no figure {figure!r}", hint=f"choose: {', '.join(FIGURES)}"
            )
        suite = cls(
            name=name,
            figure=figure,
            about=" ".join(str(data.get("about") or "").split()),
            cases=tuple(cases.items()),
            repeats=int(_positive(name, data, "repeats", 3, whole=True)),
            price=_positive(name, data, "price", 0.1),
            patience=_positive(name, data, "patience", 20.0),
        )
        runs = suite.repeats * sum(len(methods) for _, methods in suite.cases)
        if not 0 < runs <= _MOST_RUNS:
            raise UsageError(f"suite {name}: {runs} runs make no sense", hint=_HINT)
        return suite


_HINT = (
    "a suite is YAML: methods: [adaptive, precopy], scenarios: [{workload: hot, share: [25, 50]}];"
    " see docs/benchmarks.md"
)


def suite_names() -> dict[str, str]:
    """Return the suites that come with this project, and what each is for."""
    return {name: find_suite(name).about for name in _own()}


def find_suite(name: str) -> Suite:
    """Return a suite by its name, or from a file.

    :raises NotFoundError: when there is neither.
    :raises UsageError: when it cannot be read.
    """
    path = Path(name)
    if name in _own():
        text = resources.files("postcopy.bench").joinpath("suites", f"{name}.yaml").read_text()
        return Suite.parse(name, yaml.safe_load(text))
    if not path.is_file():
        raise NotFoundError(
            f"there is no suite {name!r}",
            hint=f"choose {', '.join(_own())}, or name a file (YAML)",
        )
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise UsageError(f"suite {name} cannot be read: {said}", hint=_HINT) from error
    return Suite.parse(path.stem, data)


def _own() -> list[str]:
    found = resources.files("postcopy.bench").joinpath("suites").iterdir()
    return sorted(one.name.removesuffix(".yaml") for one in found if one.name.endswith(".yaml"))


def _rotated(methods: Sequence[Method], by: int) -> list[Method]:
    start = by % len(methods)
    return [*methods[start:], *methods[:start]]


def _cases(
    entry: object, defaults: Mapping[str, Any], common: object
) -> list[tuple[Scenario, tuple[Method, ...]]]:
    """Return the scenarios that an entry stands for: one for each combination of its lists."""
    if not isinstance(entry, Mapping):
        raise UsageError("not a mapping")
    fields = {**defaults, **entry}
    methods = _methods(fields.pop("methods", common))
    lists = [value if isinstance(value, list) else [value] for value in fields.values()]
    found = []
    for values in itertools.product(*lists):
        scenario = Scenario.parse(dict(zip(fields, values, strict=True)))
        for method in methods:
            if (refusal := method.refusal(scenario.floor)) is not None:
                raise UsageError(refusal, hint="give that scenario methods of its own")
        found.append((scenario, methods))
    return found


def _methods(listed: object) -> tuple[Method, ...]:
    if not isinstance(listed, list) or not listed:
        raise UsageError("no list of methods")
    methods = [Method.parse(str(text)) for text in listed]
    if len({method.text for method in methods}) < len(methods):
        raise UsageError("a method comes twice")
    return tuple(methods)


def _positive(
    name: str, data: Mapping[str, Any], key: str, otherwise: float, *, whole: bool = False
) -> float:
    value = data.get(key, otherwise)
    right = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not right or not 0 < value < 1e6:
        raise UsageError(f"suite {name}: {key}: {value!r} makes no sense", hint=_HINT)
    return float(value)
