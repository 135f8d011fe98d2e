"""What was seen of one run: enough to judge it, today or later, without the guest."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from postcopy.bench.faults.floor import Sight
from postcopy.bench.faults.model import Fault

__all__ = ["Command", "Evidence", "Mark", "Memory"]


@dataclass(frozen=True, slots=True)
class Mark:
    """One fault as it was done.

    :ivar at: when it struck, in Unix time; None when its moment never came.
    :ivar mended_at: when it was over; that of one without a length is `at`.
    :ivar note: why it was not done as planned, if it was not.
    """

    fault: Fault
    at: float | None = None
    mended_at: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """One command that supervised the migration.

    :ivar exit_code: None while it ran, and for good if it had to be ended.
    :ivar killed: whether a fault ended it.
    :ivar by_hand: whether it was started because the one before had left the guest as it was.
    """

    line: tuple[str, ...]
    started_at: float
    exit_code: int | None = None
    killed: bool = False
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """What the guest found when it checked itself."""

    pages_checked: int
    pages_wrong: int
    rebooted: bool
    panicked: bool
    uptime_continuous: bool

    @property
    def intact(self) -> bool:
        """Whether every page is right, and it never stopped being the same guest."""
        return self.uptime_continuous and not (self.pages_wrong or self.rebooted or self.panicked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One run.

    :ivar switched_at: when the switch was acknowledged; None when that was not heard.
    :ivar heard_at_destination: when the guest was first heard there; None if never.
    :ivar memory: None where the guest could not be asked.
    :ivar words: the last that the QEMUs and the commands had to say, by the log's name.
    :ivar trouble: why the run could not be carried out, if it could not.
    :ivar left: what could not be taken away afterwards, if anything.
    """

    started_at: float
    ended_at: float
    marks: tuple[Mark, ...] = ()
    commands: tuple[Command, ...] = ()
    switched_at: float | None = None
    heard_at_destination: float | None = None
    sight: Sight = field(default_factory=lambda: Sight(()))
    memory: Memory | None = None
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    trouble: str = ""
    left: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Evidence":
        """Read what `to_dict` wrote."""
        parts = {
            "marks": tuple(
                Mark(**{**mark, "fault": Fault.from_dict(mark["fault"])}) for mark in data["marks"]
            ),
            "commands": tuple(
                Command(**{**command, "line": tuple(command["line"])})
                for command in data["commands"]
            ),
            "sight": Sight.from_dict(data["sight"]),
            "memory": Memory(**data["memory"]) if data["memory"] else None,
            "words": {name: tuple(lines) for name, lines in data["words"].items()},
        }
        return cls(**{**data, **parts})
