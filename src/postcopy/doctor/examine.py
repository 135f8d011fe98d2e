"""The examination: hosts are probed side by side, and checks are applied to what they said."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from postcopy.clock import Clock, SystemClock
from postcopy.doctor.access import AccessFacts
from postcopy.doctor.floors import FLOORS, Floor
from postcopy.errors import PostcopyError
from postcopy.hosts import HostAccess, probe
from postcopy.readiness import (
    Check,
    Evidence,
    Facts,
    Finding,
    GuestSubject,
    HostSubject,
    PairSubject,
    Scope,
    exit_code,
    skipped,
    warned,
)

__all__ = ["Examination", "Progress", "examine"]

AT_ONCE = 64
"""How many hosts are looked at side by side; the work is theirs, so this bounds connections."""

PROBE_SECONDS = 20.0
_MEASURED_PAIRS = 12
"""How many pairs are measured each with every other; of more hosts, each with its neighbour."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the examination is.

    :ivar subject: what was just done: a host, or a pair.
    :ivar reached: whether it answered.
    """

    done: int
    total: int
    subject: str
    reached: bool


@dataclass(frozen=True, slots=True)
class Examination:
    """What came out.

    :ivar hosts: all that were asked, whether they answered or not.
    """

    hosts: tuple[HostSubject, ...]
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0 all is well, 1 there are warnings, 2 there are failures."""
        return exit_code(self.findings)


async def examine(
    hosts: Sequence[HostAccess],
    checks: Iterable[Check[Any]],
    *,
    proofs: bool = True,
    guest: str | None = None,
    progress: Callable[[Progress], None] = lambda progress: None,
    clock: Clock | None = None,
    floors: Sequence[Floor] = FLOORS,
) -> Examination:
    """Look at hosts, at each pair of them, and at a guest that may go from the first to the second.

    A host that does not answer is a finding and no error. The ways into the hosts stay open.

    :param checks: those that are wanted, see `postcopy.doctor.select`.
    :param proofs: whether to prove by doing; without, such checks are skipped.
    :param guest: the name of a guest on the first of two hosts.
    """
    chosen = list(checks)
    wanted = sorted({check.proof for check in chosen if check.proof}) if proofs else []
    request = _request(chosen, wanted, guest, floors)
    steps = _Steps(progress, len(hosts))
    turn = asyncio.Semaphore(AT_ONCE)

    async def look(access: HostAccess) -> tuple[HostSubject, dict[str, Any]]:
        async with turn:
            found = await _look(access, request, floors, clock or SystemClock())
        steps.done(access.name, not found[0].facts.of(AccessFacts).error)
        return found

    looked = await asyncio.gather(*map(look, hosts))
    subjects = [subject for subject, _ in looked]
    ways = dict(zip(subjects, hosts, strict=True))
    pairs = [PairSubject(a, b) for a, b in permutations(subjects, 2)] if len(hosts) > 1 else []
    if guest is not None:
        pairs = pairs[:1]
    pairs = await _measured(pairs, ways, chosen, floors, steps)
    guests = []
    if guest is not None and pairs:
        guests = [await _guest(guest, pairs[0], looked[0][1], ways, floors)]
    found = _apply(chosen, Scope.HOST, subjects, proofs)
    found += _apply(chosen, Scope.PAIR, pairs, proofs)
    found += _apply(chosen, Scope.GUEST, guests, proofs)
    return Examination(tuple(subjects), tuple(found))


def _request(
    checks: Iterable[Check[Any]], proofs: list[str], guest: str | None, floors: Sequence[Floor]
) -> dict[str, Any]:
    """Return what hosts are asked: a check may want to know of its own floor and of those below."""
    layers = {check.layer for check in checks}
    names = [floor.name for floor in floors]
    highest = max((names.index(layer) for layer in layers if layer in names), default=-1)
    section = {"proofs": proofs, "guest": guest}
    return {"seconds": PROBE_SECONDS, **dict.fromkeys(names[: highest + 1], section)}


async def _look(
    access: HostAccess, request: dict[str, Any], floors: Sequence[Floor], clock: Clock
) -> tuple[HostSubject, dict[str, Any]]:
    sent_at = clock.now()
    try:
        answer = await probe(access, request)
    except PostcopyError as error:
        return _mute(access.name, error.message, error.hint, floors), {}
    about = AccessFacts.of_answer(access.name, answer, sent_at, clock.now())
    known: list[object] = [about]
    missing: dict[type, str] = {}
    for floor in floors:
        if floor.facts is None or floor.facts is AccessFacts:
            continue
        section = answer["sections"].get(floor.name)
        error_ = Evidence(section).value("error")
        if section is None or error_:
            missing[floor.facts] = f"the probe brought nothing back: {error_ or 'not asked for'}"
            continue
        try:
            known.append(floor.facts.of(Evidence(section)))
        except Exception as stumble:  # noqa: BLE001 - what one host says must not stop the others
            _log.exception("the answer of %s about %s", access.name, floor.name)
            missing[floor.facts] = f"its answer cannot be read: {stumble!r}"
    return HostSubject(access.name, Facts(known, missing)), answer["sections"]


def _mute(name: str, message: str, hint: str, floors: Sequence[Floor]) -> HostSubject:
    reason = "the host did not answer"
    missing = {floor.facts: reason for floor in floors if floor.facts is not None}
    return HostSubject(name, Facts([AccessFacts(asked=name, error=message, hint=hint)], missing))


async def _measured(
    pairs: list[PairSubject],
    ways: dict[HostSubject, HostAccess],
    checks: list[Check[Any]],
    floors: Sequence[Floor],
    steps: "_Steps",
) -> list[PairSubject]:
    """Have each floor find out about pairs of hosts that both answered, one pair after another.

    One after another, because two measurements over one link would halve each other.
    """
    layers = {check.layer for check in checks if check.scope is not Scope.HOST}
    measures = [floor.measure for floor in floors if floor.measure and floor.name in layers]
    if not measures:
        return pairs
    hosts = list(ways)
    near = {frozenset((a, b)) for a, b in zip(hosts, [*hosts[1:], hosts[0]], strict=True)}
    measured = []
    for pair in pairs:
        both = frozenset((pair.source, pair.destination))
        skip = len(pairs) > _MEASURED_PAIRS and both not in near
        if skip or any(host.facts.of(AccessFacts).error for host in both):
            measured.append(pair)
            continue
        facts = pair.facts
        for measure in measures:
            try:
                found = await measure(ways[pair.source], ways[pair.destination], pair)
            except PostcopyError as error:
                _log.warning("%s could not be measured: %s", pair, error)
            else:
                facts = facts.with_(*found)
        measured.append(PairSubject(pair.source, pair.destination, facts))
        steps.done(str(pair), True)
    return measured


async def _guest(
    name: str,
    pair: PairSubject,
    sections: dict[str, Any],
    ways: dict[HostSubject, HostAccess],
    floors: Sequence[Floor],
) -> GuestSubject:
    kinds = [(floor, floor.guest) for floor in floors if floor.guest is not None]
    known = [kind.of(Evidence(sections[f.name])) for f, kind in kinds if f.name in sections]
    missing = {kind: "the source did not tell" for f, kind in kinds if f.name not in sections}
    guest = GuestSubject(name, pair, Facts(known, missing))
    for floor in floors:
        if floor.measure_guest is None:
            continue
        try:
            found = await floor.measure_guest(ways[pair.source], ways[pair.destination], guest)
        except PostcopyError as error:
            _log.warning("%s could not be measured: %s", guest, error)
        else:
            guest = GuestSubject(name, pair, guest.facts.with_(*found))
    return guest


def _apply(
    checks: Iterable[Check[Any]],
    scope: Scope,
    subjects: Sequence[HostSubject | PairSubject | GuestSubject],
    proofs: bool,
) -> list[Finding]:
    return [
        finding
        for check in checks
        if check.scope is scope
        for finding in _findings(check, subjects, proofs)
    ]


def _findings(
    check: Check[Any], subjects: Sequence[HostSubject | PairSubject | GuestSubject], proofs: bool
) -> Iterator[Finding]:
    for subject in subjects:
        if check.proof and not proofs:
            yield check.found(str(subject), skipped("proofs were left out"))
            continue
        try:
            yield check.apply(subject)
        except Exception as stumble:  # noqa: BLE001 - one check must not silence all others
            _log.exception("check %s of %s", check.id, subject)
            answer = warned(f"this check stumbled: {stumble!r}", "please report this")
            yield check.found(str(subject), answer)


class _Steps:
    """Counts what is done, for whoever watches."""

    def __init__(self, progress: Callable[[Progress], None], total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def done(self, subject: str, reached: bool) -> None:
        self._done += 1
        self._total = max(self._total, self._done)
        self._progress(Progress(self._done, self._total, subject, reached))
