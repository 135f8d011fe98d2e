"""What was done to hosts, written before and after each step, so that it can be taken back.

::

    STATE/setup/records/ID.json      mode 0600; ID begins with the time, so they sort by it

A record holds changed lines and digests, no file as a whole and nothing of a secret one: what a
secret file held before is kept on its host, beside it.
"""

import contextlib
import enum
import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from postcopy.errors import JournalError, NotFoundError, RetryableError
from postcopy.paths import state_dir

__all__ = ["FORMAT", "Kind", "Record", "State", "Step", "alone", "records_dir"]

FORMAT = 1


class Kind(enum.StrEnum):
    """What a step does."""

    FILE = "file"
    COMMAND = "command"
    RESTART = "restart"


class State(enum.StrEnum):
    """How far a step has come. It may be cut short at any moment: then it is as it was written."""

    PLANNED = "planned"
    DOING = "doing"
    """It was begun, and may or may not have happened."""
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"
    LEFT = "left"
    """The file was changed by somebody else, and is left as it is."""


@dataclass(slots=True, kw_only=True)
class Step:
    """One thing that was done to a host.

    :ivar host: a key of the record's `hosts`.
    :ivar delta: of a file that is not secret: its changed lines; see `postcopy.setup.delta`.
    :ivar before: digest of what the file held; None if it was not there.
    :ivar after: digest of what it holds then; None if it is removed.
    :ivar keep: of a secret file that was there: where the host keeps what it held.
    :ivar parents: directories that are made for it, the topmost first.
    :ivar undo: the command that takes a command back.
    """

    host: str
    kind: Kind
    why: str
    state: State = State.PLANNED
    path: str = ""
    delta: list[list[Any]] | None = None
    before: str | None = None
    after: str | None = None
    mode: int = 0
    owner: str | int = "root"
    group: str | int = "root"
    secret: bool = False
    keep: str = ""
    parents: list[str] = field(default_factory=list)
    argv: list[str] = field(default_factory=list)
    undo: list[str] = field(default_factory=list)
    service: str = ""

    def __str__(self) -> str:
        if self.kind is Kind.FILE:
            return f"writing {self.path}" if self.after else f"removing {self.path}"
        return f"running {self.argv[0]}" if self.argv else f"restarting {self.service}"


@dataclass(slots=True, kw_only=True)
class Record:
    """What one run of set-up did, or was doing when it ended.

    :ivar hosts: who they are, by what the user calls them: ``node`` and ``machine``.
    :ivar mends: the findings that it is for.
    :ivar lab: the lab that hosts with bare names are of.
    """

    id: str
    created_at: float
    hosts: dict[str, dict[str, Any]]
    mends: list[str]
    lab: str = ""
    steps: list[Step] = field(default_factory=list)

    @property
    def state(self) -> str:
        """``applied``, ``stopped``, ``undone`` or ``partly undone``."""
        states = {step.state for step in self.steps}
        if State.UNDONE in states or State.UNDOING in states:
            undone = states <= {State.UNDONE, State.LEFT, State.PLANNED}
            return "undone" if undone else "partly undone"
        return "stopped" if states & {State.PLANNED, State.DOING} else "applied"

    @property
    def stopped_at(self) -> int | None:
        """The index of the step that was not done to its end, in a record that is stopped."""
        if self.state != "stopped":
            return None
        open_ = (State.PLANNED, State.DOING)
        return next(index for index, step in enumerate(self.steps) if step.state in open_)

    @property
    def path(self) -> Path:
        """Its file."""
        return records_dir() / f"{self.id}.json"

    def save(self) -> None:
        """Write it, whole, for its owner alone, down to the disk.

        :raises JournalError: when that cannot be done: what comes next must not be done then.
        """
        raw = {"format": FORMAT, **asdict(self)}
        part = self.path.with_suffix(f".{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(raw, file, indent=1)
                file.flush()
                os.fsync(descriptor)
            part.replace(self.path)
        except OSError as error:
            raise JournalError(
                f"cannot write the record {self.path}: {error.strerror}",
                hint="make room there, or point POSTCOPY_STATE_DIR at another directory",
            ) from error

    @classmethod
    def begin(
        cls, now: float, hosts: dict[str, dict[str, Any]], mends: Iterable[str], lab: str = ""
    ) -> "Record":
        """Make a new one, not yet written."""
        when = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
        named = re.sub(r"[^A-Za-z0-9]+", "-", next(iter(hosts))).strip("-")[:32]
        id_ = f"{when}-{named}" if named else when
        known = {path.stem for path in records_dir().glob("*.json")}
        number = 2
        unique = id_
        while unique in known:
            unique = f"{id_}-{number}"
            number += 1
        return cls(id=unique, created_at=now, hosts=hosts, mends=list(mends), lab=lab)

    @classmethod
    def load(cls, id_: str) -> "Record":
        """Read a record, by its id, by its path, or as ``last``.

        :raises NotFoundError: when there is none.
        :raises JournalError: when it cannot be read.
        """
        path = Path(id_) if "/" in id_ else records_dir() / f"{id_}.json"
        if id_ == "last":
            paths = sorted(records_dir().glob("*.json"))
            if not paths:
                raise NotFoundError("nothing was set up from here", hint="postcopy setup --list")
            path = paths[-1]
        try:
            return _parse(path.read_text())
        except FileNotFoundError:
            raise NotFoundError(
                f"there is no record {id_!r}", hint="postcopy setup --list has their ids"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise JournalError(
                f"the record {path} cannot be read: {error}",
                hint="it was written by something else than this version, or damaged",
            ) from error

    @classmethod
    def every(cls) -> list["Record"]:
        """Return all that can be read, the newest last."""
        found = []
        for path in sorted(records_dir().glob("*.json")):
            try:
                found.append(_parse(path.read_text()))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # --undo says what is wrong with it
        return found


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keep other set-ups from here out while the block runs; the lock dies with its holder.

    :raises RetryableError: when one is at work.
    :raises JournalError: when the lock cannot be made.
    """
    path = records_dir().parent / "lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalError(
            f"cannot make the lock {path}: {error.strerror}",
            hint="make it writable, or point POSTCOPY_STATE_DIR at another directory",
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RetryableError(
                "another `postcopy setup` is at work from here", hint="wait until it has ended"
            ) from None
        yield
    finally:
        os.close(lock)


def records_dir() -> Path:
    """Return the directory of the records."""
    return state_dir() / "setup" / "records"


def _parse(text: str) -> Record:
    raw = json.loads(text)
    if raw.pop("format") != FORMAT:
        raise ValueError("it is of another format")
    steps = [
        Step(**{**step, "kind": Kind(step["kind"]), "state": State(step["state"])})
        for step in raw.pop("steps")
    ]
    record = Record(**raw, steps=steps)
    if not re.fullmatch(r"[A-Za-z0-9-]+", record.id):
        raise ValueError("its id is no name of a file")
    return record
