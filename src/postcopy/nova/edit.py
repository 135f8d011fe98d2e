"""Edits of nova.conf that leave every other byte alone.

Lines are found by the parser that nova-compute itself uses, because others differ from it in what
counts: of an option that is set twice the last one does, and a blank line ends a value.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from postcopy.nova.configuration import Setting

__all__ = ["Edit", "apply", "assign", "insert", "remove"]


@dataclass(frozen=True, slots=True)
class Edit:
    """Lines that stand in another's place.

    :ivar start: how many lines are before them.
    :ivar lines: how many of them go; 0 where lines are put between others.
    :ivar made: what stands there instead, without line ends.
    """

    start: int
    lines: int
    made: tuple[str, ...]


def assign(text: str, setting: Setting, value: str) -> Edit:
    """Give an option another value where it is set."""
    first = text.split("\n")[setting.line - 1]
    head = re.match(r"[^=:]*[=:][ \t]*", first)
    return Edit(setting.line - 1, setting.lines, ((head[0] if head else "") + value,))


def remove(text: str, setting: Setting, why: str) -> Edit:
    """Make a comment of what sets an option."""
    start, end = setting.line - 1, setting.line - 1 + setting.lines
    lines = [line.rstrip("\r") for line in text.split("\n")[start:end]]
    return Edit(start, setting.lines, (f"# {why}:", *(f"#{line}" for line in lines)))


def insert(text: str, section: str, assignments: Sequence[str]) -> Edit:
    """Put lines at the beginning of a section, which is made at the end if it is not there."""
    lines = text.split("\n") if text else []
    for i, line in enumerate(lines):
        if line.rstrip() == f"[{section}]":
            return Edit(i + 1, 0, tuple(assignments))
    last = len(lines) - 1 if lines and not lines[-1] else len(lines)
    return Edit(last, 0, (*([""] if last else []), f"[{section}]", *assignments))


def apply(text: str, edits: Iterable[Edit]) -> str:
    """Return the text after all edits; each was made of the same text.

    Lines end as those of the text do.
    """
    lines = text.split("\n") if text else []
    end = "\r" if lines and lines[0].endswith("\r") else ""
    made: list[str] = []
    done = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.lines)):
        made += [*lines[done : edit.start], *(line + end for line in edit.made)]
        done = edit.start + edit.lines
    joined = "\n".join([*made, *lines[done:]])
    return joined if not joined or joined.endswith("\n") else joined + "\n"
