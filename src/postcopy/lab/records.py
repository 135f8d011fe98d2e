"""What a guest was heard to say: the lines of the recorder's log, as values.

`read_log` reads what `postcopy.lab.recorder` wrote, and `merge` joins the logs of the hosts that a
guest was on. The lines themselves are described at the head of ``witness.c``.

All times are Unix time in seconds, and a line's time is that of its arrival at the host.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "read_log",
    "merge",
    "find_verdict",
    "Record",
    "Beat",
    "Ready",
    "Verdict",
    "Failure",
    "Text",
]


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat: the guest's totals since its start, and its own clock."""

    at: float
    sequence: int
    uptime_seconds: float
    writes: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The guest has filled its memory: said once in the life of a guest."""

    at: float
    pages: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The guest has looked at every page, and at every block of its disk.

    :ivar first_wrong: the lowest index of a wrong page; None when all were right.
    :ivar disk_blocks_checked: blocks of 4 KiB, read from the disk; None without a disk.
    :ivar disk_blocks_wrong: how many were ever found wrong, now or while it worked.
    """

    at: float
    pages_checked: int
    pages_wrong: int
    first_wrong: int | None
    disk_blocks_checked: int | None = None
    disk_blocks_wrong: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """The guest cannot work, and has halted."""

    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Text:
    """Anything else: the kernel's messages, answers to commands, the rest of a torn line."""

    at: float
    text: str


Record = Beat | Ready | Verdict | Failure | Text

_LINE = re.compile(rb"(\d{1,20}) (.*)", re.DOTALL)
_BEAT = re.compile(r"H (\d{1,20}) (\d{1,20}) (\d{1,20}) (\d{1,20})", re.ASCII)
_READY = re.compile(r"READY (?:\S+ )*pages=(\d{1,20})(?: \S+)*", re.ASCII)
_VERDICT = re.compile(r"V (\d{1,20}) (\d{1,20}) (-1|\d{1,20})(?: (\d{1,20}) (\d{1,20}))?", re.ASCII)


def read_log(path: Path) -> list[Record]:
    """Return what the recorder wrote, in the order of arrival.

    Lines that make no sense are skipped, and a last line without an end is never a beat. A log
    that does not exist is empty: the guest was never on that host.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    *lines, torn = content.split(b"\n")
    records = [_parse(line, whole=True) for line in lines]
    records.append(_parse(torn, whole=False))
    return [record for record in records if record is not None]


def merge(*logs: Iterable[Record]) -> list[Record]:
    """Return the records of several logs of one guest as one, in the order of arrival."""
    return sorted((record for log in logs for record in log), key=lambda record: record.at)


def find_verdict(records: Iterable[Record], after: float) -> Verdict | None:
    """Return the first verdict that arrived after that time; None if there is none yet."""
    for record in records:
        if isinstance(record, Verdict) and record.at >= after:
            return record
    return None


def _parse(line: bytes, *, whole: bool) -> Record | None:
    stamped = _LINE.fullmatch(line)
    if stamped is None:
        return None
    at = int(stamped[1]) / 1e9
    text = stamped[2].decode("utf-8", "replace")
    if whole:
        if found := _BEAT.fullmatch(text):
            sequence, uptime_ms, writes, wrong = map(int, found.groups())
            return Beat(at, sequence, uptime_ms / 1000, writes, wrong)
        if found := _READY.fullmatch(text):
            return Ready(at, int(found[1]))
        if found := _VERDICT.fullmatch(text):
            checked, bad, first, *disk = (None if n is None else int(n) for n in found.groups())
            assert checked is not None
            assert bad is not None
            return Verdict(at, checked, bad, None if first == -1 else first, *disk)
        if text.startswith("E "):
            return Failure(at, text[2:])
    return Text(at, text)
