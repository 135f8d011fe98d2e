"""What was measured, kept: a file of JSON lines, one for each run, written as soon as it has ended.

A process that is killed loses the run that it was in the middle of and nothing else: a last line
that is torn is passed over.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from postcopy.bench.scenario import Scenario
from postcopy.errors import JournalError, NotFoundError
from postcopy.migration.outcome import Fate

__all__ = ["Latency", "Measured", "Record"]

_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """What those who use a server saw of it, while it moved. Seconds.

    :param before: the percentiles of its answers just before, by name: ``p50``, ``p99``, ...
    :param during: the same from the start of the move until a second after its end.
    :param errors: requests that were not answered.
    """

    before: Mapping[str, float]
    during: Mapping[str, float]
    requests: int
    errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One move of one guest, and what it cost.

    :param method: as `Method.parse` reads it.
    :param fate: cancelled is given up, after the patience of the suite.
    :param total_seconds: from its start until the source was no longer needed, or it was given up.
    :param switched_after_seconds: None if it did not go over to post-copy, or that is not known.
    :param transferred_bytes: None where nobody says so, as with ``passes``.
    :param baseline_rate: the guest's own pace before, in writes or answers a second.
    :param run_id: in the journal beside the record; None where virsh moved it.
    """

    scenario: Scenario
    method: str
    repeat: int
    started_at: float
    fate: Fate
    total_seconds: float
    downtime_seconds: float | None = None
    switched_after_seconds: float | None = None
    longest_freeze_seconds: float = 0.0
    guest_seconds_lost: float = 0.0
    baseline_rate: float = 0.0
    transferred_bytes: int | None = None
    passes: int | None = None
    pages_checked: int = 0
    pages_wrong: int = 0
    intact: bool = True
    latency: Latency | None = None
    run_id: int | None = None
    error: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells it from every other run of a suite."""
        return self.scenario.name, self.method, self.repeat

    @property
    def ended(self) -> bool:
        """Whether the guest has moved."""
        return self.fate is Fate.COMPLETED

    @property
    def given_up(self) -> bool:
        """Whether the patience was over first: its figures are the least it would have cost."""
        return self.fate is Fate.CANCELLED

    def cost(self, price: float) -> float:
        """Return the guest-seconds lost, a second of migration being worth `price` of them."""
        return price * self.total_seconds + self.guest_seconds_lost

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Measured":
        """Read what `to_dict` wrote."""
        latency = data.get("latency")
        return cls(
            **{
                **data,
                "scenario": Scenario.from_dict(data["scenario"]),
                "fate": Fate(data["fate"]),
                "latency": Latency(**latency) if latency else None,
            }
        )


class Record:
    """The runs of a suite that have been made.

    :param path: the file; it is made with the first run.
    :param suite: what is told of the suite in a new file: its name, and what it is made of.
    :raises JournalError: when it is there and cannot be read.
    """

    def __init__(self, path: Path, suite: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self.about: Mapping[str, Any] = dict(suite or {})
        self._runs: dict[tuple[str, str, int], Measured] = {}
        self._whole = 0
        with self._explain("read"):
            if path.exists():
                self._read(path.read_bytes())

    @classmethod
    def existing(cls, path: Path) -> "Record":
        """Return a record that must be there.

        :raises NotFoundError: when it is not.
        """
        if not path.exists():
            known = sorted(one.stem for one in path.parent.glob("*.jsonl"))
            raise NotFoundError(
                f"there is no benchmark on record at {path}",
                hint=f"known are: {', '.join(known)}" if known else "postcopy bench run quick",
            )
        return cls(path)

    @property
    def journal_path(self) -> Path:
        """The journal with every sample of every run."""
        return self.path.with_suffix(".db")

    @property
    def runs(self) -> list[Measured]:
        """All runs, in the order in which they were made."""
        return list(self._runs.values())

    def find(self, key: tuple[str, str, int]) -> Measured | None:
        """Return one run, if it has been made."""
        return self._runs.get(key)

    def add(self, run: Measured) -> None:
        """Write a run down, and return when it is on disk.

        :raises JournalError: when it cannot be.
        """
        with self._explain("write"):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self.path.open("ab") as file:
                # Whatever a killed process has left of its last line goes first.
                file.truncate(self._whole)
                lines = [run.to_dict()]
                if not self._whole:
                    lines.insert(0, {"format": _FORMAT, "suite": dict(self.about)})
                text = "".join(json.dumps(line) + "\n" for line in lines).encode()
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        self._whole += len(text)
        self._runs[run.key] = run

    def _read(self, content: bytes) -> None:
        self._whole = content.rfind(b"\n") + 1
        lines = content[: self._whole].splitlines()
        if not lines:
            return
        try:
            head = json.loads(lines[0])
            if head["format"] != _FORMAT:
                raise JournalError(
                    f"{self.path} was written by another version of postcopy",
                    hint="move it away, or measure again: postcopy bench run --fresh",
                )
            self.about = head["suite"]
            for line in lines[1:]:
                run = Measured.from_dict(json.loads(line))
                self._runs[run.key] = run
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise JournalError(
                f"{self.path} is no record of a benchmark: {error}",
                hint="move it away, or measure again: postcopy bench run --fresh",
            ) from error

    @contextlib.contextmanager
    def _explain(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise JournalError(
                f"cannot {verb} {self.path}: {error.strerror}",
                hint="make its directory writable, or point POSTCOPY_STATE_DIR at another",
            ) from error
