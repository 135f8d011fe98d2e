"""The journal: every run, sample and decision, on disk before anybody is told.

One SQLite file in WAL mode. Each record is a transaction of its own, so a process that is killed
loses at most the record it was writing; ``synchronous=NORMAL`` means that a power cut may lose the
last few, but never damages the file (sqlite.org, "PRAGMA synchronous").
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from postcopy.errors import JournalError, NotFoundError
from postcopy.migration.event import Event, SampleTaken
from postcopy.migration.outcome import Outcome
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Look, Sample

__all__ = ["Foreseen", "Journal", "Run"]

# The format's versions: what each of them changed. A journal of an older one is brought up to date.
_VERSIONS = (
    """
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    guest TEXT NOT NULL,
    source TEXT NOT NULL,
    destination TEXT NOT NULL,
    policy TEXT NOT NULL,
    driver TEXT NOT NULL,
    started_at REAL NOT NULL,
    outcome TEXT
);
CREATE INDEX run_by_guest ON run (guest, id);
CREATE TABLE sample (
    run INTEGER NOT NULL REFERENCES run (id),
    at REAL NOT NULL,
    phase TEXT NOT NULL,
    status TEXT NOT NULL,
    pass_number INTEGER NOT NULL,
    pass_ended_at REAL,
    total_bytes INTEGER NOT NULL,
    remaining_bytes INTEGER NOT NULL,
    transferred_bytes INTEGER NOT NULL,
    bandwidth REAL NOT NULL,
    dirty_rate REAL NOT NULL,
    requests INTEGER NOT NULL,
    error TEXT NOT NULL
);
CREATE INDEX sample_by_run ON sample (run);
CREATE TABLE event (
    run INTEGER NOT NULL REFERENCES run (id),
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX event_by_run ON event (run);
""",
    """
ALTER TABLE sample ADD COLUMN disk_total_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sample ADD COLUMN disk_remaining_bytes INTEGER NOT NULL DEFAULT 0;
CREATE TABLE forecast (
    id INTEGER PRIMARY KEY,
    run INTEGER REFERENCES run (id),
    guest TEXT NOT NULL,
    destination TEXT NOT NULL,
    at REAL NOT NULL,
    data TEXT NOT NULL,
    score TEXT
);
CREATE INDEX forecast_by_run ON forecast (run);
CREATE INDEX forecast_by_guest ON forecast (guest, at);
""",
    """
ALTER TABLE sample ADD COLUMN looks TEXT NOT NULL DEFAULT '[]';
""",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One attempt to move one guest."""

    id: int
    guest: str
    source: str
    destination: str
    policy: str
    driver: Mapping[str, Any]
    """What the driver needs to reach the migration again (`Driver.record`)."""
    started_at: float
    outcome: Outcome | None
    """None while it goes on, and for good if nobody saw its end."""

    def to_dict(self) -> dict[str, Any]:
        """Return the run as plain values, for JSON."""
        outcome = self.outcome.to_dict() if self.outcome else None
        return {**asdict(self), "driver": dict(self.driver), "outcome": outcome}


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """A forecast on record; what is in it is the business of whoever made it.

    :param run: the run that it is of; None while the guest has not been moved.
    :param score: how good it was, once that is known.
    """

    id: int
    run: int | None
    guest: str
    destination: str
    at: float
    data: Mapping[str, Any]
    score: Mapping[str, Any] | None


class Journal:
    """All runs on record. Not to be shared between threads.

    :param path: the file; it and its directory are made when missing.
    :raises JournalError: when it cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._explain("open"):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
            try:
                self._db.row_factory = sqlite3.Row
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = NORMAL")
                self._migrate()
            except BaseException:
                self._db.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def begin(
        self,
        *,
        guest: str,
        source: str,
        destination: str,
        policy: str,
        driver: Mapping[str, Any],
        started_at: float,
    ) -> Run:
        """Record that a run is about to start, so that it can be found whatever happens next."""
        with self._explain("write"):
            cursor = self._db.execute(
                "INSERT INTO run (guest, source, destination, policy, driver, started_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (guest, source, destination, policy, json.dumps(dict(driver)), started_at),
            )
        run_id = cursor.lastrowid
        assert run_id is not None  # an INSERT into a table with a row id sets it
        return self.run(run_id)

    def record(self, run_id: int, event: Event) -> None:
        """Record one event of a run."""
        with self._explain("write"):
            if isinstance(event, SampleTaken):
                row = {"run": run_id, **asdict(event.sample)}
                row["looks"] = json.dumps(row["looks"])
                marks = ", ".join(f":{name}" for name in row)
                self._db.execute(f"INSERT INTO sample ({', '.join(row)}) VALUES ({marks})", row)
            else:
                self._db.execute(
                    "INSERT INTO event (run, at, kind, text) VALUES (?, ?, ?, ?)",
                    (run_id, event.at, type(event).__name__, event.text),
                )

    def lead_to(self, run_id: int, destination: str) -> Run:
        """Record where a run leads that was begun before that was known, and return it."""
        with self._explain("write"):
            self._db.execute("UPDATE run SET destination = ? WHERE id = ?", (destination, run_id))
        return self.run(run_id)

    def end(self, run_id: int, outcome: Outcome) -> None:
        """Record how a run ended."""
        with self._explain("write"):
            self._db.execute(
                "UPDATE run SET outcome = ? WHERE id = ?", (json.dumps(outcome.to_dict()), run_id)
            )

    def run(self, run_id: int) -> Run:
        """Return one run.

        :raises NotFoundError: when there is none of that number.
        """
        with self._explain("read"):
            row = self._db.execute("SELECT * FROM run WHERE id = ?", (run_id,)).fetchone()
        if row is None:
            raise NotFoundError(
                f"there is no run {run_id} in {self.path}", hint="list them: postcopy history"
            )
        return _run(row)

    def runs(self, guest: str | None = None, limit: int = 50) -> list[Run]:
        """Return the latest runs, newest first."""
        with self._explain("read"):
            rows = self._db.execute(
                "SELECT * FROM run WHERE ?1 IS NULL OR guest = ?1 ORDER BY id DESC LIMIT ?2",
                (guest, limit),
            ).fetchall()
        return [_run(row) for row in rows]

    def samples(self, run_id: int) -> list[Sample]:
        """Return the samples of a run in the order in which they were taken."""
        with self._explain("read"):
            rows = self._db.execute(
                "SELECT * FROM sample WHERE run = ? ORDER BY rowid", (run_id,)
            ).fetchall()
        return [_sample(row) for row in rows]

    def events(self, run_id: int) -> list[tuple[float, str, str]]:
        """Return when, kind and text of everything else that happened in a run."""
        with self._explain("read"):
            rows = self._db.execute(
                "SELECT at, kind, text FROM event WHERE run = ? ORDER BY rowid", (run_id,)
            ).fetchall()
        return [(row["at"], row["kind"], row["text"]) for row in rows]

    def foresee(
        self,
        *,
        guest: str,
        destination: str,
        at: float,
        data: Mapping[str, Any],
        run_id: int | None = None,
    ) -> int:
        """Record a forecast, of a run or of one that may come, and return its number."""
        with self._explain("write"):
            cursor = self._db.execute(
                "INSERT INTO forecast (run, guest, destination, at, data) VALUES (?, ?, ?, ?, ?)",
                (run_id, guest, destination, at, json.dumps(dict(data))),
            )
        number = cursor.lastrowid
        assert number is not None
        return number

    def rate(self, forecast_id: int, score: Mapping[str, Any]) -> None:
        """Record how good a forecast was."""
        with self._explain("write"):
            self._db.execute(
                "UPDATE forecast SET score = ? WHERE id = ?", (json.dumps(dict(score)), forecast_id)
            )

    def forecasts(self, run_id: int) -> list[Foreseen]:
        """Return the forecasts of a run, oldest first."""
        with self._explain("read"):
            rows = self._db.execute(
                "SELECT * FROM forecast WHERE run = ? ORDER BY id", (run_id,)
            ).fetchall()
        return [_foreseen(row) for row in rows]

    def foreseen(self, guest: str, since: float) -> list[Foreseen]:
        """Return the forecasts for a guest that belong to no run yet, newest first."""
        with self._explain("read"):
            rows = self._db.execute(
                "SELECT * FROM forecast WHERE run IS NULL AND guest = ? AND at >= ?"
                " ORDER BY id DESC",
                (guest, since),
            ).fetchall()
        return [_foreseen(row) for row in rows]

    def _migrate(self) -> None:
        # BEGIN IMMEDIATE: two processes that open a new journal at once must not both create it.
        self._db.execute("BEGIN IMMEDIATE")
        try:
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version > len(_VERSIONS):
                raise JournalError(
                    f"{self.path} was written by another version of postcopy"
                    f" (format {version}, this one reads {len(_VERSIONS)})",
                    hint="use that version, or point POSTCOPY_STATE_DIR at another directory",
                )
            for change in _VERSIONS[version:]:
                for statement in change.split(";"):
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {len(_VERSIONS)}")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextlib.contextmanager
    def _explain(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            free = _free_bytes(self.path)
            full = free is not None and free < 1 << 20
            hint = (
                f"the disk is full: make room under {self.path.parent}"
                if full or "full" in str(error)
                else f"make {self.path.parent} writable,"
            ) + " or point POSTCOPY_STATE_DIR at another directory"
            raise JournalError(
                f"cannot {verb} the journal {self.path}: {error}", hint=hint
            ) from error


def _free_bytes(path: Path) -> int | None:
    try:
        stat = os.statvfs(path.parent)
    except OSError:
        return None
    return stat.f_bavail * stat.f_frsize


def _run(row: sqlite3.Row) -> Run:
    fields = dict(row)
    outcome = fields.pop("outcome")
    fields["driver"] = json.loads(fields["driver"])
    return Run(**fields, outcome=Outcome.from_dict(json.loads(outcome)) if outcome else None)


def _sample(row: sqlite3.Row) -> Sample:
    fields = dict(row)
    del fields["run"]
    fields["phase"] = Phase(fields["phase"])
    fields["looks"] = tuple(Look(**each) for each in json.loads(fields["looks"]))
    return Sample(**fields)


def _foreseen(row: sqlite3.Row) -> Foreseen:
    fields = dict(row)
    fields["data"] = json.loads(fields["data"])
    fields["score"] = json.loads(fields["score"]) if fields["score"] else None
    return Foreseen(**fields)
