"""A plan as people read it: unified diffs, and commands with their reasons. No secrets."""

import difflib
import re
import shlex
from collections.abc import Iterator

from postcopy.readiness import FileChange
from postcopy.setup.plan import Plan

__all__ = ["describe", "diff", "mask", "plan_to_dict"]

_SECRET = re.compile(
    r"^([ +-]?\s*[#;]?\s*"
    r"(?:[\w.-]*(?:password|passwd|secret|token|credential|transport_url)[\w.-]*"
    r"|(?:slave_)?connection)\s*[=:]\s*)(\S.*)$",
    re.IGNORECASE,
)
_IN_URL = re.compile(r"(://[^/\s:@]*:)[^@\s]+(@)")
_HIDDEN = "********"


def mask(line: str) -> str:
    """Hide what a line of a configuration file keeps secret, by the name of its option.

    Lines around a change are shown with it, and nova.conf is full of passwords.
    """
    text = line.rstrip("\n")
    hidden = _SECRET.sub(rf"\g<1>{_HIDDEN}", text)
    return _IN_URL.sub(rf"\g<1>{_HIDDEN}\g<2>", hidden) + line[len(text) :]


def diff(change: FileChange) -> str:
    """Return the unified diff of a file; of one that is secret, only that there is one."""
    if change.secret:
        return f"--- {change.path}\n+++ {change.path}\n(secret: not shown)\n"
    old = "/dev/null" if change.before is None else change.path
    new = "/dev/null" if change.after is None else change.path
    lines = difflib.unified_diff(
        (change.before or "").splitlines(keepends=True),
        (change.after or "").splitlines(keepends=True),
        old,
        new,
    )
    return "".join(
        mask(line) if line.endswith("\n") else f"{mask(line)}\n\\ No newline at end of file\n"
        for line in lines
    )


def describe(plan: Plan) -> Iterator[str]:
    """Yield the lines of a plan."""
    number = 0
    for change in plan.files:
        number += 1
        if change.after is None:
            verb = "remove"
        else:
            verb = "create" if change.before is None and not change.secret else "write"
        yield f"{number}. {verb} {change.path}: {change.why}"
        yield from (f"   {line}" for line in diff(change).splitlines())
    for command in plan.commands:
        number += 1
        yield f"{number}. run {shlex.join(command.argv)}: {command.why}"
    for restart in plan.restarts:
        number += 1
        yield f"{number}. restart {restart.service}: {restart.why}"
    for reason in plan.left:
        yield f"not done: {reason}"


def plan_to_dict(plan: Plan) -> dict[str, object]:
    """Return a plan as plain values."""
    return {
        "host": plan.host,
        "mends": list(plan.mends),
        "fixes": list(plan.fixes),
        "files": [
            {"path": one.path, "why": one.why, "secret": one.secret, "diff": diff(one)}
            for one in plan.files
        ],
        "commands": [{"argv": list(one.argv), "why": one.why} for one in plan.commands],
        "restarts": [{"service": one.service, "why": one.why} for one in plan.restarts],
        "left": list(plan.left),
    }
