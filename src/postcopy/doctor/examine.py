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

_MUTE = "the host did not answer"

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
    if proofs:
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
        if floor.facts not in (None, AccessFacts):
            _read(floor.facts, floor.name, answer["sections"], known, missing)
    return HostSubject(access.name, Facts(known, missing)), answer["sections"]


def _read(
    kind: type[Any],
    name: str,
    sections: dict[str, Any],
    known: list[object],
    missing: dict[type, str],
) -> None:
    """Make facts of a section, or say why there are none."""
    evidence = Evidence(sections.get(name))
    if name not in sections or evidence.value("error"):
        reason = evidence.value("error") or "not asked for"
        missing[kind] = f"the probe brought nothing back: {reason}"
        return
    try:
        known.append(kind.of(evidence))
    except Exception as stumble:  # noqa: BLE001 - what one host says must not stop the others
        _log.debug("what was said about %s cannot be read", name, exc_info=True)
        missing[kind] = f"its answer cannot be read: {stumble!r}"


def _mute(name: str, message: str, hint: str, floors: Sequence[Floor]) -> HostSubject:
    missing = {floor.facts: _MUTE for floor in floors if floor.facts is not None}
    return HostSubject(name, Facts([AccessFacts(asked=name, error=message, hint=hint)], missing))


async def _measured(
    pairs: list[PairSubject],
    ways: dict[HostSubject, HostAccess],
    checks: list[Check[Any]],
    floors: Sequence[Floor],
    steps: "_Steps",
) -> list[PairSubject]:
    """Have each floor find out about pairs of hosts that both answered."""
    layers = {check.layer for check in checks if check.scope is not Scope.HOST}
    measures = [floor.measure for floor in floors if floor.measure and floor.name in layers]
    if not measures or not pairs:
        return pairs
    hosts = list(ways)
    ring = set(zip(hosts, [*hosts[1:], hosts[0]], strict=True))
    found: dict[tuple[HostSubject, HostSubject], Facts] = {}
    wanted = []
    for pair in pairs:
        ends = (pair.source, pair.destination)
        if any(host.facts.of(AccessFacts).error for host in ends):
            found[ends] = pair.facts.without(_MUTE)
        elif len(pairs) > _MEASURED_PAIRS and ends not in ring:
            found[ends] = pair.facts.without("of many hosts, each is measured to the next alone")
        else:
            wanted.append(pair)
    steps.more(len(wanted))

    async def measure(pair: PairSubject) -> None:
        facts = pair.facts
        for one in measures:
            try:
                facts = facts.with_(*await one(ways[pair.source], ways[pair.destination], pair))
            except PostcopyError as error:
                facts = facts.without(f"it could not be measured: {error.message}")
        found[pair.source, pair.destination] = facts
        steps.done(str(pair), True)

    for turn in _rounds(wanted):
        await asyncio.gather(*map(measure, turn))
    return [PairSubject(p.source, p.destination, found[p.source, p.destination]) for p in pairs]


def _rounds(pairs: Iterable[PairSubject]) -> list[list[PairSubject]]:
    """Sort pairs into rounds in which no host has two parts: those would disturb each other."""
    rounds: list[tuple[list[PairSubject], set[HostSubject]]] = []
    for pair in pairs:
        ends = {pair.source, pair.destination}
        for members, busy in rounds:
            if not busy & ends:
                members.append(pair)
                busy |= ends
                break
        else:
            rounds.append(([pair], ends))
    return [members for members, _ in rounds]


async def _guest(
    name: str,
    pair: PairSubject,
    sections: dict[str, Any],
    ways: dict[HostSubject, HostAccess],
    floors: Sequence[Floor],
) -> GuestSubject:
    known: list[object] = []
    missing: dict[type, str] = {}
    for floor in floors:
        if floor.guest is not None:
            _read(floor.guest, floor.name, sections, known, missing)
    guest = GuestSubject(name, pair, Facts(known, missing))
    for floor in floors:
        if floor.measure_guest is None:
            continue
        try:
            found = await floor.measure_guest(ways[pair.source], ways[pair.destination], guest)
        except PostcopyError as error:
            facts = guest.facts.without(f"it could not be looked at: {error.message}")
        else:
            facts = guest.facts.with_(*found)
        guest = GuestSubject(name, pair, facts)
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
            _log.debug("check %s of %s stumbled", check.id, subject, exc_info=True)
            answer = warned(f"this check stumbled: {stumble!r}", "please report this")
            yield check.found(str(subject), answer)


class _Steps:
    """Counts what is done, for whoever watches."""

    def __init__(self, progress: Callable[[Progress], None], total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def more(self, steps: int) -> None:
        self._total += steps

    def done(self, subject: str, reached: bool) -> None:
        self._done += 1
        self._progress(Progress(self._done, self._total, subject, reached))
