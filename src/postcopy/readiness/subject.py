"""What checks are about: a host, a pair of hosts, a guest on a pair; each with its facts."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

__all__ = ["Facts", "GuestSubject", "HostSubject", "MissingFacts", "PairSubject"]

F = TypeVar("F")


class MissingFacts(Exception):  # noqa: N818 - no error: the check that asked is skipped
    """Nobody could find out what a check needs; its text says why."""


class Facts:
    """Facts of several floors, each asked for by its type.

    :param known: at most one object of each type.
    :param missing: why there are no facts of a type, where there could have been.
    :param otherwise: why there are none of any other type.
    """

    def __init__(
        self,
        known: Iterable[object] = (),
        missing: dict[type, str] | None = None,
        otherwise: str = "",
    ) -> None:
        self._known = {type(facts): facts for facts in known}
        self._missing = missing or {}
        self._otherwise = otherwise

    def of(self, kind: type[F]) -> F:
        """Return the facts of that type.

        :raises MissingFacts: when there are none; the check that asked is skipped then.
        """
        facts = self._known.get(kind)
        if isinstance(facts, kind):
            return facts
        otherwise = self._otherwise or f"nothing is known: no {kind.__name__}"
        raise MissingFacts(self._missing.get(kind, otherwise))

    def find(self, kind: type[F]) -> F | None:
        """Return the facts of that type, or None."""
        facts = self._known.get(kind)
        return facts if isinstance(facts, kind) else None

    def with_(self, *more: object) -> "Facts":
        """Return these facts and more."""
        return Facts([*self._known.values(), *more], self._missing, self._otherwise)

    def without(self, reason: str) -> "Facts":
        """Return these facts, and why there are no others."""
        return Facts(self._known.values(), self._missing, reason)


@dataclass(frozen=True, slots=True)
class HostSubject:
    """One host."""

    name: str
    facts: Facts = field(default_factory=Facts)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class PairSubject:
    """A guest's way from one host to another.

    :ivar facts: what was measured between the two.
    """

    source: HostSubject
    destination: HostSubject
    facts: Facts = field(default_factory=Facts)

    def __str__(self) -> str:
        return f"{self.source} -> {self.destination}"


@dataclass(frozen=True, slots=True)
class GuestSubject:
    """One guest that may go from one host to another.

    :ivar facts: what is known of the guest itself.
    """

    name: str
    pair: PairSubject
    facts: Facts = field(default_factory=Facts)

    def __str__(self) -> str:
        return f"{self.name}: {self.pair}"
