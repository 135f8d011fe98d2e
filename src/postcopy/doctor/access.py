"""What is known of a host before any floor is looked at: whether, and as whom, it answered."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["AccessFacts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessFacts:
    """How the probe fared.

    :ivar asked: what the user calls the host.
    :ivar error: why there is no answer; empty where there is one.
    :ivar hint: what to do about that.
    :ivar told: the name that the host goes by itself.
    :ivar uid: the number of the user that the probe ran as.
    :ivar python: the version that ran it.
    :ivar identity: the same for two ways into one host, different for two hosts; empty if unknown.
    :ivar clock_seconds: how far its clock is ahead of this machine's; None where it did not tell.
    :ivar clock_error_seconds: how wrong that may be: half of what asking took.
    :ivar broken: sections that could not be collected, each with the reason.
    """

    asked: str
    error: str = ""
    hint: str = ""
    told: str = ""
    uid: int | None = None
    python: str = ""
    identity: str = ""
    clock_seconds: float | None = None
    clock_error_seconds: float = 0.0
    broken: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of_answer(
        cls, asked: str, answer: Mapping[str, Any], sent_at: float, received_at: float
    ) -> "AccessFacts":
        """Read what a host says of itself.

        :param answer: as `postcopy.probe.main` describes it.
        :param sent_at: when it was asked, in Unix time; the probe looks at its own clock once, at
            some time from then on.
        :param received_at: when the answer was there.
        """
        now, error = answer.get("now"), 0.0
        ahead = None
        if isinstance(now, int | float) and math.isfinite(now):
            took = max(0.0, received_at - sent_at - _seconds(answer.get("seconds")))
            # Its clock was read at the end; what came after is at most `took`.
            ahead, error = now - (received_at - took / 2), took / 2
        uid = answer.get("uid")
        sections = answer.get("sections")
        broken = [
            (str(name), str(section["error"]))
            for name, section in (sections.items() if isinstance(sections, Mapping) else ())
            if isinstance(section, Mapping) and section.get("error")
        ]
        return cls(
            asked=asked,
            told=_text(answer.get("host")),
            uid=uid if isinstance(uid, int) else None,
            python=_text(answer.get("python")),
            identity=_text(answer.get("identity")),
            clock_seconds=ahead,
            clock_error_seconds=error,
            broken=tuple(broken),
        )


def _seconds(raw: object) -> float:
    return float(raw) if isinstance(raw, int | float) and 0 <= raw < 1e6 else 0.0


def _text(raw: object) -> str:
    return raw[:253] if isinstance(raw, str) else ""
