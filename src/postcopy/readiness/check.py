"""A check: one question about a subject, answered by a pure function."""

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from postcopy.readiness.finding import Finding, Verdict
from postcopy.readiness.subject import GuestSubject, HostSubject, MissingFacts, PairSubject

__all__ = ["Catalogue", "Check", "Result", "Scope", "failed", "passed", "skipped", "warned"]

S = TypeVar("S", HostSubject, PairSubject, GuestSubject)


_MOST_LETTERS = 1000


class Scope(enum.StrEnum):
    """What a check is about."""

    HOST = "host"
    PAIR = "pair"
    GUEST = "guest"


@dataclass(frozen=True, slots=True)
class Result:
    """A check's answer.

    :ivar saw: what was looked at, and what it said.
    :ivar remedy: what mends it here, where that is more exact than what the check says of itself.
    """

    verdict: Verdict
    saw: str
    remedy: str = ""


def passed(saw: str) -> Result:
    """It is as it should be."""
    return Result(Verdict.PASS, saw)


def warned(saw: str, remedy: str = "") -> Result:
    """It works, but worse or less safely than it could."""
    return Result(Verdict.WARN, saw, remedy)


def failed(saw: str, remedy: str = "") -> Result:
    """Post-copy does not work like this, or loses a guest."""
    return Result(Verdict.FAIL, saw, remedy)


def skipped(reason: str) -> Result:
    """It does not concern this subject, or could not be looked at."""
    return Result(Verdict.SKIP, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Generic[S]):
    """One question.

    :ivar id: layer, thing and property, as in ``kernel.userfaultfd.permitted``.
    :ivar title: what should be so, in a few words.
    :ivar why: why it matters, in one sentence.
    :ivar remedy: what a person would type to mend it.
    :ivar fix: the id of the `postcopy.readiness.fix.Fix` that mends it; empty where none can.
    :ivar since: since which version of what it is so.
    :ivar proof: the proof that a probe must have made for it, by name; empty where looking is
        enough. Proofs that no chosen check wants are not made.
    """

    id: str
    scope: Scope
    title: str
    why: str
    remedy: str
    fix: str
    since: str
    proof: str
    answer: Callable[[S], Result]

    @property
    def layer(self) -> str:
        """The floor that it looks at."""
        return self.id.split(".", 1)[0]

    def apply(self, subject: S) -> Finding:
        """Answer the question for a subject."""
        try:
            result = self.answer(subject)
        except MissingFacts as missing:
            result = skipped(str(missing))
        return self.found(str(subject), result)

    def found(self, subject: str, result: Result) -> Finding:
        """Return the finding that an answer makes."""
        wrong = result.verdict in (Verdict.FAIL, Verdict.WARN)
        return Finding(
            id=self.id,
            subject=subject,
            layer=self.layer,
            verdict=result.verdict,
            saw=_one_line(result.saw),
            why=self.why,
            remedy=(result.remedy or self.remedy) if wrong else "",
            fix=self.fix if wrong else "",
            since=self.since,
        )


def _one_line(text: str) -> str:
    """Return what a host said as one line that no terminal takes for more than text."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[:_MOST_LETTERS])
    return " ".join(shown.split())


class Catalogue:
    """The checks of one floor; each is listed by decorating the function that answers it."""

    def __init__(self) -> None:
        self._checks: dict[str, Check[Any]] = {}

    def host(self, id_: str, **about: str) -> Callable[[Callable[[HostSubject], Result]], Any]:
        """List a question about one host. `about` is what `Check` says of itself."""
        return self._lister(id_, Scope.HOST, about)

    def pair(self, id_: str, **about: str) -> Callable[[Callable[[PairSubject], Result]], Any]:
        """List a question about a pair of hosts."""
        return self._lister(id_, Scope.PAIR, about)

    def guest(self, id_: str, **about: str) -> Callable[[Callable[[GuestSubject], Result]], Any]:
        """List a question about a guest on a pair of hosts."""
        return self._lister(id_, Scope.GUEST, about)

    def __iter__(self) -> Iterator[Check[Any]]:
        return iter(self._checks.values())

    def __len__(self) -> int:
        return len(self._checks)

    def _lister(self, id_: str, scope: Scope, about: dict[str, str]) -> Callable[[Any], Any]:
        def list_it(answer: Any) -> Any:
            if id_ in self._checks:
                raise ValueError(f"there are two checks {id_!r}")
            self._checks[id_] = Check(
                id=id_,
                scope=scope,
                title=about["title"],
                why=about["why"],
                remedy=about.get("remedy", ""),
                fix=about.get("fix", ""),
                since=about.get("since", ""),
                proof=about.get("proof", ""),
                answer=answer,
            )
            return answer

        return list_it
