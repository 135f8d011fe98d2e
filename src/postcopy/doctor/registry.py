"""All checks by id, and which of them a user wants."""

import difflib
import fnmatch
from collections.abc import Iterable, Sequence
from typing import Any

from postcopy.doctor.floors import FLOORS
from postcopy.errors import NotFoundError
from postcopy.readiness import Check

__all__ = ["all_checks", "find", "select"]


def all_checks() -> list[Check[Any]]:
    """Return every check, from the lowest floor up."""
    return [check for floor in FLOORS for check in floor.checks]


def find(id_: str) -> Check[Any]:
    """Return the check of that id.

    :raises NotFoundError: when there is none.
    """
    known = {check.id: check for check in all_checks()}
    if id_ in known:
        return known[id_]
    raise NotFoundError(f"there is no check {id_!r}", hint=_near(id_, list(known)))


def select(only: Sequence[str] = (), skip: Sequence[str] = ()) -> list[Check[Any]]:
    """Return the checks whose ids match a pattern of `only` and none of `skip`.

    :param only: shell patterns, ``kernel.*``; none stands for all.
    :raises NotFoundError: when a pattern matches no check at all: a misspelt one would otherwise
        look like a host without fault.
    """
    checks = all_checks()
    ids = [check.id for check in checks]
    for pattern in (*only, *skip):
        if not fnmatch.filter(ids, pattern):
            raise NotFoundError(f"no check matches {pattern!r}", hint=_near(pattern, ids))
    return [
        check
        for check in checks
        if (not only or _matches(check.id, only)) and not _matches(check.id, skip)
    ]


def _matches(id_: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(id_, pattern) for pattern in patterns)


def _near(text: str, ids: list[str]) -> str:
    near = difflib.get_close_matches(text, ids, 1)
    return (f"did you mean {near[0]}? " if near else "") + "postcopy check --list shows all"
