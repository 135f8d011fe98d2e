"""What changed between two texts, small enough to keep and exact both ways.

A record holds the changed lines alone: the rest of a configuration file may hold passwords.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["ConflictError", "Delta", "Hunk", "merge"]


class ConflictError(Exception):
    """Two edits want the same lines, or the lines are not those that were edited."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines that stand in another's place; each with its line end, if it has one.

    :ivar start: the first line's number in the text before, from 0.
    """

    start: int
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def end(self) -> int:
        """The number of the line behind the last one that is replaced."""
        return self.start + len(self.before)


@dataclass(frozen=True, slots=True)
class Delta:
    """An edit; its hunks are in the order of their lines and do not touch."""

    hunks: tuple[Hunk, ...] = ()

    @classmethod
    def between(cls, before: str, after: str) -> "Delta":
        """Return what makes one text of the other."""
        old, new = _lines(before), _lines(after)
        # Configuration files are long and change little: the matcher sees only the middle.
        head = _common(old, new)
        tail = _common(old[head:][::-1], new[head:][::-1])
        old, new = old[head : len(old) - tail], new[head : len(new) - tail]
        matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
        return cls(
            tuple(
                Hunk(head + i1, tuple(old[i1:i2]), tuple(new[j1:j2]))
                for tag, i1, i2, j1, j2 in matcher.get_opcodes()
                if tag != "equal"
            )
        )

    def apply(self, before: str) -> str:
        """Return the text after.

        :raises ConflictError: when `before` does not hold the lines that were edited.
        """
        lines, done, made = _lines(before), 0, list[str]()
        for hunk in self.hunks:
            if tuple(lines[hunk.start : hunk.end]) != hunk.before or hunk.start < done:
                raise ConflictError(f"line {hunk.start + 1} is not what it was")
            made += [*lines[done : hunk.start], *hunk.after]
            done = hunk.end
        return "".join([*made, *lines[done:]])

    def reversed(self) -> "Delta":
        """Return what makes the text before of the text after."""
        shift, back = 0, []
        for hunk in self.hunks:
            back.append(Hunk(hunk.start + shift, hunk.after, hunk.before))
            shift += len(hunk.after) - len(hunk.before)
        return Delta(tuple(back))

    def to_list(self) -> list[list[Any]]:
        """Return plain values, for JSON."""
        return [[hunk.start, list(hunk.before), list(hunk.after)] for hunk in self.hunks]

    @classmethod
    def from_list(cls, raw: Iterable[Sequence[Any]]) -> "Delta":
        """Read what `to_list` made."""
        return cls(tuple(Hunk(int(one[0]), tuple(one[1]), tuple(one[2])) for one in raw))


def merge(before: str, versions: Sequence[str]) -> str:
    """Return one text with all edits of several that were made of the same text.

    What is inserted at the same place by several stands there in their order.

    :raises ConflictError: when two of them replace the same lines with different ones.
    """
    hunks: list[Hunk] = []
    for version in versions:
        for hunk in Delta.between(before, version).hunks:
            if hunk not in hunks:
                hunks.append(hunk)
    hunks.sort(key=lambda hunk: (hunk.start, hunk.end))
    merged: list[Hunk] = []
    for hunk in hunks:
        if merged and hunk.start < merged[-1].end:
            raise ConflictError(f"two fixes want line {hunk.start + 1}")
        merged.append(hunk)
    return Delta(tuple(merged)).apply(before)


def _lines(text: str) -> list[str]:
    """Split at newlines alone: `str.splitlines` knows a dozen other ends, which files may hold."""
    lines = text.split("\n")
    ended, last = lines[:-1], lines[-1]
    return [line + "\n" for line in ended] + ([last] if last else [])


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    for count, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return count
    return min(len(one), len(other))
