"""What a check found."""

import enum
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Finding", "Verdict", "exit_code"]


class Verdict(enum.StrEnum):
    """What a finding means; worst first."""

    FAIL = "fail"
    """Post-copy does not work, or loses a guest."""
    WARN = "warn"
    """It works, but worse or less safely than it could."""
    SKIP = "skip"
    """It could not be looked at, or does not concern this host."""
    PASS = "pass"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The verdict of one check on one subject.

    :ivar id: the check's, such as ``kernel.userfaultfd.permitted``.
    :ivar subject: whom it is about: a host, ``alpha -> beta``, or ``web1: alpha -> beta``.
    :ivar layer: ``host`` (can it be looked at), ``kernel``, ``qemu``, ``libvirt`` or ``nova``.
    :ivar saw: what was looked at and what it said; for a skipped check, why it was skipped.
    :ivar why: why it matters, in one sentence.
    :ivar remedy: what a person would type, or do; empty for what is right.
    :ivar fix: what `postcopy setup` can mend it with, by id; empty where it cannot.
    :ivar since: since which version it is so.
    """

    id: str
    subject: str
    layer: str
    verdict: Verdict
    saw: str
    why: str
    remedy: str = ""
    fix: str = ""
    since: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as plain values."""
        return asdict(self)


def exit_code(findings: Iterable[Finding]) -> int:
    """Return what `postcopy check` exits with, as ``nova-status upgrade check`` does.

    0 all is well, 1 there are warnings, 2 there are failures.
    """
    verdicts = {finding.verdict for finding in findings}
    if Verdict.FAIL in verdicts:
        return 2
    return 1 if Verdict.WARN in verdicts else 0
