"""What is to be done on a host: files, then commands, then restarts. Pure."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from postcopy.errors import RefusedError
from postcopy.readiness import (
    Command,
    FileChange,
    Finding,
    Fix,
    HostSubject,
    MissingFacts,
    Restart,
    Verdict,
)
from postcopy.setup.delta import ConflictError, merge

__all__ = ["Plan", "make_plan", "wanted"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done on one host, in this order.

    :ivar mends: the ids of the findings that it is for.
    :ivar fixes: the ids of the fixes that it is made of, in the order of their files.
    :ivar left: why something is not in it, in words.
    """

    host: str
    files: tuple[FileChange, ...] = ()
    commands: tuple[Command, ...] = ()
    restarts: tuple[Restart, ...] = ()
    mends: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.files or self.commands or self.restarts)

    @property
    def steps(self) -> int:
        """How many steps it has."""
        return len(self.files) + len(self.commands) + len(self.restarts)


def wanted(findings: Iterable[Finding], only: Sequence[str] = ()) -> list[Finding]:
    """Return the findings that say that something is wrong and can be mended.

    :param only: shell patterns of ids of checks or fixes; without one, all.
    """
    return [
        finding
        for finding in findings
        if finding.verdict in (Verdict.FAIL, Verdict.WARN)
        and finding.fix
        and (
            not only
            or any(
                fnmatch.fnmatchcase(id_, one) for one in only for id_ in (finding.id, finding.fix)
            )
        )
    ]


def make_plan(subject: HostSubject, findings: Sequence[Finding], fixes: Mapping[str, Fix]) -> Plan:
    """Plan what mends findings on a host.

    Fixes that edit one file are merged into one edit of it; one that would undo another's is left
    for the next time, and the plan says so.
    """
    chosen = sorted(
        {finding.fix: fixes[finding.fix] for finding in findings if finding.fix in fixes}.values(),
        key=lambda fix: (fix.order, fix.id),
    )
    files: dict[str, list[FileChange]] = {}
    commands: list[Command] = []
    restarts: dict[str, Restart] = {}
    used: list[str] = []
    left = [
        f"{finding.id}: nothing here is called {finding.fix}, which would mend it"
        for finding in findings
        if finding.fix not in fixes
    ]
    for fix in chosen:
        try:
            changes = fix.plan(subject)
        except (MissingFacts, RefusedError) as reason:
            left.append(f"{fix.id}: {reason}")
            continue
        mine = [change for change in changes if isinstance(change, FileChange)]
        if clash := _clash(files, mine):
            left.append(f"{fix.id}: {clash}; run it again after this")
            continue
        if changes:
            used.append(fix.id)
        for edit in mine:
            files.setdefault(edit.path, []).append(edit)
        commands += [
            change for change in changes if isinstance(change, Command) and change not in commands
        ]
        for change in changes:
            if isinstance(change, Restart):
                known = restarts.setdefault(change.service, change)
                if change.why not in known.why:
                    restarts[change.service] = replace(known, why=f"{known.why}; {change.why}")
    return Plan(
        host=subject.name,
        files=tuple(_merged(changes) for changes in files.values()),
        commands=tuple(commands),
        restarts=tuple(sorted(restarts.values(), key=_restart_rank)),
        mends=tuple(sorted({finding.id for finding in findings if finding.fix in used})),
        fixes=tuple(used),
        left=tuple(left),
    )


def _restart_rank(restart: Restart) -> tuple[bool, str]:
    """What talks to libvirtd is restarted after it."""
    return restart.service.startswith("nova"), restart.service


def _clash(files: Mapping[str, list[FileChange]], new: Sequence[FileChange]) -> str:
    for change in new:
        try:
            _merged([*files.get(change.path, []), change])
        except ConflictError as error:
            return f"{change.path}: {error}"
    return ""


def _merged(changes: Sequence[FileChange]) -> FileChange:
    first, *more = changes
    if not more:
        return first
    texts = [change.after for change in changes]
    why = "; ".join(dict.fromkeys(change.why for change in changes))
    if all(text == first.after for text in texts):
        return replace(first, why=why)
    if any(change.secret or change.after is None for change in changes):
        raise ConflictError("two fixes want different content")
    if any(change.before != first.before for change in changes):
        raise ConflictError("two fixes saw different content")
    after = merge(first.before or "", [text for text in texts if text is not None])
    return replace(first, after=after, why=why)
