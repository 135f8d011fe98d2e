"""The page about all checks: ``python -m postcopy.doctor.page > docs/checks.md``."""

from collections.abc import Iterator
from typing import Any

from postcopy.doctor.floors import FLOORS
from postcopy.readiness import Check, Scope

__all__ = ["page"]

_HEAD = """\
# What `postcopy check` looks at

Made from the checks themselves by `make checks-page`. `postcopy check --explain ID` says the same
about one, `--only` and `--skip` choose among them by shell patterns.

A check passes, warns (it works, but worse or less safely than it could), fails (post-copy does not
work, or loses a guest), or is skipped with a reason. *By trying* names the proof that is made for
it, which `--quick` leaves out. What has a fix is mended by `postcopy setup`.
"""

_OF = {
    Scope.HOST: "Of each host",
    Scope.PAIR: "Of each pair of hosts, in both directions",
    Scope.GUEST: "Of a guest on its way from one host to another",
}


def page() -> str:
    """Return the page, in Markdown."""
    checks = [check for floor in FLOORS for check in floor.checks]
    return "\n".join([_HEAD, f"There are {len(checks)} checks.", "", *_floors()])


def _floors() -> Iterator[str]:
    for floor in FLOORS:
        yield f"## {floor.name}\n"
        for scope in Scope:
            mine = [check for check in floor.checks if check.scope is scope]
            if mine:
                yield f"{_OF[scope]}:\n"
                for check in mine:
                    yield from _check(check)


def _check(check: Check[Any]) -> Iterator[str]:
    yield f"### `{check.id}`\n"
    yield f"{check.title[0].upper()}{check.title[1:]}. {check.why}\n"
    about = [("Remedy", check.remedy), ("Fix", check.fix and f"`{check.fix}`")]
    about += [("Since", check.since), ("By trying", check.proof and f"`{check.proof}`")]
    yield from (f"- {name}: {text}" for name, text in about if text)
    yield ""


if __name__ == "__main__":
    print(page(), end="")
