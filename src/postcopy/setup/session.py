"""From hosts to a proposal, and from what was done to whether it helped. Start with `propose`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from postcopy.doctor import Examination, all_checks, examine
from postcopy.doctor import Progress as Examined
from postcopy.errors import NotFoundError
from postcopy.hosts import HostAccess
from postcopy.readiness import Check, Files, Finding, Fix, HostSubject, Verdict
from postcopy.setup.files import HostFiles
from postcopy.setup.plan import Plan, make_plan, wanted

__all__ = ["Proposal", "chosen_checks", "propose", "verify"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is wrong with hosts and can be mended, and how.

    :ivar findings: all that the examination found.
    :ivar plans: one for each host where there is something to do or to say.
    """

    findings: tuple[Finding, ...]
    plans: tuple[Plan, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return all(plan.empty for plan in self.plans)

    @property
    def unreachable(self) -> list[Finding]:
        """Hosts that did not answer: of them nothing is known."""
        return [
            finding
            for finding in self.findings
            if finding.id == "host.reachable" and finding.verdict is Verdict.FAIL
        ]


def chosen_checks(
    only: Sequence[str] = (), checks: Iterable[Check[Any]] | None = None
) -> list[Check[Any]]:
    """Return the checks whose findings can be mended, and whether hosts answer.

    :param only: shell patterns of ids of checks or fixes; without one, all.
    :raises NotFoundError: when one matches nothing.
    """
    every = list(all_checks() if checks is None else checks)
    mendable = [check for check in every if check.fix]
    for pattern in only:
        if not any(_named(check, pattern) for check in mendable):
            raise NotFoundError(
                f"nothing that can be mended matches {pattern!r}",
                hint="it is the id of a check or a fix: postcopy check --list",
            )
    chosen = [check for check in mendable if not only or any(_named(check, p) for p in only)]
    return [check for check in every if check.id == "host.reachable"] + chosen


def _named(check: Check[Any], pattern: str) -> bool:
    return any(fnmatchcase(id_, pattern) for id_ in (check.id, check.fix))


async def propose(
    hosts: Sequence[HostAccess],
    fixes: Mapping[str, Fix],
    only: Sequence[str] = (),
    *,
    material: Callable[[Examination], Mapping[str, Sequence[object]]] = lambda _: {},
    progress: Callable[[Examined], None] = lambda _: None,
) -> Proposal:
    """Examine hosts and plan what mends what is found. Nothing is changed.

    :param material: more facts that fixes want, by host: what the setter-up brings, such as a
        certificate authority.
    :raises NotFoundError: when `only` matches nothing.
    """
    examined = await examine(hosts, chosen_checks(only), progress=progress)
    brought = material(examined)
    ways = {host.name: host for host in hosts}
    plans = []
    for subject in examined.hosts:
        mine = wanted(concerning(examined.findings, subject.name, fixes), only)
        files = await _files(ways[subject.name], [fixes[f.fix] for f in mine if f.fix in fixes])
        facts = subject.facts.with_(files, *brought.get(subject.name, ()))
        plan = make_plan(HostSubject(subject.name, facts), mine, fixes)
        if not plan.empty or plan.left:
            plans.append(plan)
    return Proposal(examined.findings, tuple(plans))


async def _files(host: HostAccess, fixes: Sequence[Fix]) -> Files:
    paths = sorted({path for fix in fixes for path in fix.reads})
    held = await HostFiles(host).look(paths)
    return Files({path: held[path].text() for path in paths})


def concerning(findings: Iterable[Finding], host: str, fixes: Mapping[str, Fix]) -> list[Finding]:
    """Return the findings that are to be mended on a host: its own, and those of its pairs."""
    mine = []
    for finding in findings:
        hosts = finding.subject.split(" -> ")
        side = fixes[finding.fix].side if finding.fix in fixes else "both"
        concerned = {"source": hosts[:1], "destination": hosts[-1:]}.get(side, hosts)
        if host in concerned:
            mine.append(finding)
    return mine


async def verify(
    proposal: Proposal,
    hosts: Sequence[HostAccess],
    progress: Callable[[Examined], None] = lambda _: None,
) -> list[Finding]:
    """Ask the same checks again; return what is still wrong of what should be mended."""
    ids = {id_ for plan in proposal.plans for id_ in plan.mends}
    checks = [check for check in all_checks() if check.id in ids]
    examined = await examine(hosts, checks, progress=progress)
    set_up = {plan.host for plan in proposal.plans if not plan.empty}
    return [
        finding
        for finding in wanted(examined.findings)
        if set_up & set(finding.subject.split(" -> "))
    ]
