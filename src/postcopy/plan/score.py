"""How good a forecast was."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from postcopy.forecast.outlook import Outlook
from postcopy.migration.outcome import Fate, Outcome

__all__ = ["Forecast", "Score", "score"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What was expected of a run.

    :param basis: what it was made from: ``plan`` before the start, ``first pass`` after that.
    :param at: when it was made, in Unix time.
    """

    basis: str
    at: float
    outlook: Outlook

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"basis": self.basis, "at": self.at, "outlook": self.outlook.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Forecast":
        """Read what `to_dict` wrote."""
        return cls(basis=data["basis"], at=data["at"], outlook=Outlook.from_dict(data["outlook"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A forecast against what came.

    :param total_error: (forecast - came) / came of the total time; None if either has no end.
    :param total_held: whether the total time lay in its 90 % interval.
    :param bytes_error: the same of the bytes sent.
    :param end_right: whether it was said rightly whether post-copy would be needed.
    """

    total_error: float | None
    total_held: bool
    bytes_error: float | None
    end_right: bool

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "total_error": self.total_error,
            "total_held": self.total_held,
            "bytes_error": self.bytes_error,
            "end_right": self.end_right,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Score":
        """Read what `to_dict` wrote."""
        return cls(**data)


def score(forecast: Forecast, outcome: Outcome) -> Score | None:
    """Compare a forecast with how its run ended; None if that did not end in the guest's move."""
    if outcome.fate is not Fate.COMPLETED:
        return None
    expected = forecast.outlook
    total, sent = outcome.total_seconds, outcome.figures.transferred_bytes
    return Score(
        total_error=_error(expected.total_seconds.median, total),
        total_held=total in expected.total_seconds,
        bytes_error=_error(expected.transferred_bytes.median, sent) if sent else None,
        end_right=(expected.by_postcopy >= 0.5) == (outcome.switched_at is not None),
    )


def _error(expected: float, came: float) -> float | None:
    return (expected - came) / came if came > 0 and math.isfinite(expected) else None
