"""Findings as people and as programs read them."""

import io
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from postcopy.cli.output import print_data
from postcopy.readiness import Check, Finding, Verdict

if TYPE_CHECKING:
    from rich.console import RenderableType

    from postcopy.doctor import Examination

__all__ = ["about", "show"]

_STYLES: dict[Verdict, str] = {
    Verdict.FAIL: "bold red",
    Verdict.WARN: "yellow",
    Verdict.SKIP: "dim",
    Verdict.PASS: "green",
}
_WORDS = {
    Verdict.FAIL: ("failure", "failures"),
    Verdict.WARN: ("warning", "warnings"),
    Verdict.SKIP: ("skipped", "skipped"),
    Verdict.PASS: ("passed", "passed"),
}
_MOST_SUBJECTS = 4
_MANY_HOSTS = 20
_WIDTH = 120


def about(check: Check[Any]) -> dict[str, str]:
    """Return what a check says of itself."""
    names = ("id", "layer", "scope", "title", "why", "remedy", "fix", "since", "proof")
    return {name: str(getattr(check, name)) for name in names}


def show(done: "Examination", format_: str, verbose: bool) -> None:
    """Print what an examination found.

    Of many hosts there are thousands of pairs: those that pass are then listed only with `verbose`.
    """
    if format_ == "table":
        _table(done, verbose)
        return
    listed: Sequence[Finding] = done.findings
    if len(done.hosts) > _MANY_HOSTS and not verbose:
        listed = [f for f in listed if f.verdict is not Verdict.PASS or "->" not in f.subject]
    if format_ == "junit":
        click.echo(junit(listed))
        return
    data = {
        "hosts": [host.name for host in done.hosts],
        "summary": {str(verdict): n for verdict, n in _counts(done.findings).items()},
        "exit_code": done.exit_code,
        "findings": [{**f.to_dict(), "verdict": str(f.verdict)} for f in listed],
    }
    if format_ == "json" and len(listed) > 10_000:
        click.echo(json.dumps(data))  # indented, it takes several times as long
        return
    print_data(data, format_, lambda: None)


def junit(found: Iterable[Finding]) -> str:
    """Return findings as JUnit XML: a suite for each subject, a case for each check.

    JUnit has no warnings: they pass, and say so in ``system-out``.
    """
    import xml.etree.ElementTree as ET

    by_subject: dict[str, list[Finding]] = defaultdict(list)
    for finding in found:
        by_subject[finding.subject].append(finding)
    root = ET.Element("testsuites", name="postcopy check")
    for subject, its in by_subject.items():
        counts = _counts(its)
        suite = ET.SubElement(
            root, "testsuite", name=subject, tests=str(len(its)), errors="0",
            failures=str(counts[Verdict.FAIL]), skipped=str(counts[Verdict.SKIP]),
        )  # fmt: skip
        for finding in its:
            # Control characters, which XML has no way to hold, are gone from findings already.
            case = ET.SubElement(suite, "testcase", classname=finding.layer, name=finding.id)
            if finding.verdict is Verdict.FAIL:
                failure = ET.SubElement(case, "failure", message=finding.saw)
                failure.text = f"{finding.why}\n{finding.remedy}"
            elif finding.verdict is Verdict.SKIP:
                ET.SubElement(case, "skipped", message=finding.saw)
            else:
                word = "warning: " if finding.verdict is Verdict.WARN else ""
                ET.SubElement(case, "system-out").text = f"{word}{finding.saw} {finding.remedy}"
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _table(done: "Examination", verbose: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = (Verdict.FAIL, Verdict.WARN, *((Verdict.SKIP, Verdict.PASS) if verbose else ()))
    groups: dict[tuple[Any, ...], list[Finding]] = defaultdict(list)
    for finding in done.findings:
        groups[finding.layer, finding.id, finding.verdict, finding.saw].append(finding)
    # Padding to the full width is for terminals alone.
    terminal = sys.stdout.isatty()
    console = Console() if terminal else Console(width=_WIDTH, file=io.StringIO())
    for layer in dict.fromkeys(finding.layer for finding in done.findings):
        mine = [its for key, its in groups.items() if key[0] == layer and key[2] in shown]
        counts = _counts(f for f in done.findings if f.layer == layer)
        console.print(Text.assemble((layer, "bold"), "  ", _counted(counts)))
        grid = Table.grid(padding=(0, 1, 0, 1))
        for its in sorted(mine, key=lambda its: its[0].verdict.rank):
            first = its[0]
            verdict = Text(str(first.verdict).upper(), style=_STYLES[first.verdict])
            grid.add_row("", verdict, _cell(first, [f.subject for f in its]))
        if grid.row_count:
            console.print(grid)
    hosts = len(done.hosts)
    words = Text.assemble(
        f"{hosts} host{'s' if hosts > 1 else ''}: ", _counted(_counts(done.findings))
    )
    console.print(words)
    fixable = {f.subject for f in done.findings if f.fix and "->" not in f.subject}
    if fixable:
        names = " ".join(host.name for host in done.hosts if host.name in fixable)
        console.print(Text(f"`postcopy setup {names}` can mend some of this", style="bold"))
    if not verbose and any(f.verdict in (Verdict.PASS, Verdict.SKIP) for f in done.findings):
        console.print(Text("-v shows what passed and what was skipped", style="dim"))
    if isinstance(console.file, io.StringIO):
        click.echo("\n".join(line.rstrip() for line in console.file.getvalue().splitlines()))


def _cell(finding: Finding, subjects: list[str]) -> "RenderableType":
    from rich.text import Text

    names = ", ".join(subjects[:_MOST_SUBJECTS])
    if len(subjects) > _MOST_SUBJECTS:
        names += f" and {len(subjects) - _MOST_SUBJECTS} more"
    text = Text.assemble((finding.id, "bold"), f"  {names}\n", finding.saw)
    if finding.verdict in (Verdict.FAIL, Verdict.WARN):
        text.append(f"\n{finding.why}", style="dim")
        if finding.remedy:
            text.append(f"\n{finding.remedy}", style="cyan")
    return text


def _counts(found: Iterable[Finding]) -> Counter[Verdict]:
    return Counter(finding.verdict for finding in found)


def _counted(counts: Counter[Verdict]) -> str:
    return ", ".join(
        f"{counts[verdict]} {_WORDS[verdict][counts[verdict] != 1]}"
        for verdict in Verdict
        if counts[verdict]
    )
