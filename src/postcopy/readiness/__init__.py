"""The words of readiness: what was found, what it means, what would mend it.

A floor turns what a host's probe brought back (`Evidence`) into facts of its own, its checks turn
facts into a `Finding` each, and its fixes turn facts into a `Change` or several. All of that is
pure. Start with `Check` and the `Catalogue` that a floor lists its checks in.

This room knows no floor, as `postcopy.migration` knows none: floors import its words.
"""

from postcopy.readiness.check import (
    Catalogue,
    Check,
    Result,
    Scope,
    failed,
    passed,
    skipped,
    warned,
)
from postcopy.readiness.evidence import Evidence, File, Ran
from postcopy.readiness.finding import Finding, Verdict, exit_code
from postcopy.readiness.fix import Change, Command, FileChange, Files, Fix, Restart
from postcopy.readiness.subject import Facts, GuestSubject, HostSubject, MissingFacts, PairSubject

__all__ = [
    "Check",
    "Catalogue",
    "Finding",
    "Verdict",
    "Scope",
    "Result",
    "passed",
    "warned",
    "failed",
    "skipped",
    "Facts",
    "HostSubject",
    "PairSubject",
    "GuestSubject",
    "MissingFacts",
    "Evidence",
    "File",
    "Ran",
    "Fix",
    "Change",
    "FileChange",
    "Files",
    "Command",
    "Restart",
    "exit_code",
]
