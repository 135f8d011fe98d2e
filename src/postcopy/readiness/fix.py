"""What would mend a finding: changes as data, that can be shown, applied, verified and undone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from postcopy.readiness.subject import HostSubject

__all__ = ["Change", "Command", "FileChange", "Fix", "Restart"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A file is written, or removed.

    :ivar before: what it held when it was looked at; None if it was not there. One that holds
        something else by then is not touched.
    :ivar after: what it will hold; None to remove it.
    :ivar mode: its permission bits.
    :ivar secret: never shown, neither in a diff nor in a log.
    :ivar why: in one sentence.
    """

    path: str
    before: str | None
    after: str | None
    why: str
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command is run, after the files are in place.

    :ivar undo: what takes it back, after the files are; empty where that needs nothing.
    """

    argv: tuple[str, ...]
    why: str
    undo: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """A service must read its configuration anew. Last of all, and once, whoever wants it.

    :ivar service: the systemd unit, as ``libvirtd.service``.
    """

    service: str
    why: str


Change: TypeAlias = FileChange | Command | Restart


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """One way to mend one kind of finding on one host.

    :ivar id: what findings name it by.
    :ivar title: what it does, in a few words.
    :ivar order: fixes of a host are applied from small to large; files that others rely on first.
    :ivar plan: pure; returns no changes where there is nothing to mend.
    """

    id: str
    title: str
    plan: Callable[[HostSubject], Sequence[Change]]
    order: int = 50
