"""What would mend a finding: changes as data, that can be shown, applied, verified and undone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from postcopy.readiness.subject import HostSubject

__all__ = ["Change", "Command", "FileChange", "Files", "Fix", "Restart"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A file is written, or removed.

    :ivar before: what it held when it was looked at; None if it was not there. One that holds
        something else by then is not touched.
    :ivar after: what it will hold; None to remove it.
    :ivar mode: permission bits of a new file; one that is there keeps its own, and its owner.
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

    It may be run again where nobody knows whether it was: the second time must change nothing.

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


@dataclass(frozen=True, slots=True)
class Files:
    """What the files hold that a fix asked for, whole, as facts of a host.

    :ivar texts: by path; None for one that is not there.
    """

    texts: Mapping[str, str | None] = field(default_factory=dict)

    def text(self, path: str) -> str | None:
        """Return what a file holds; None where there is none.

        :raises KeyError: when nobody asked for it.
        """
        return self.texts[path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """One way to mend one kind of finding on one host.

    :ivar id: what findings name it by.
    :ivar title: what it does, in a few words.
    :ivar order: fixes of a host are applied from small to large; files that others rely on first.
    :ivar plan: pure; returns no changes where there is nothing to mend.
    :ivar reads: the files that it wants whole, as `Files` among the host's facts.
    :ivar side: of a finding about a pair, which host it is for: ``source``, ``destination``, or
        ``both``.
    """

    id: str
    title: str
    plan: Callable[[HostSubject], Sequence[Change]]
    order: int = 50
    reads: tuple[str, ...] = ()
    side: str = "both"
