"""Says what became of a guest, and whether that could have been helped: from evidence alone."""

import enum
from dataclasses import dataclass

from postcopy.bench.faults.evidence import Evidence
from postcopy.bench.faults.floor import DESTINATION, SOURCE
from postcopy.bench.faults.model import CUTS

__all__ = ["Fate", "Ruling", "judge"]

_HANDOVER_SECONDS = 0.1
"""How soon after the switch a cut must come to meet a destination that has not taken over."""


class Fate(enum.StrEnum):
    """What became of a guest."""

    MOVED = "moved"
    """It runs at the destination alone, whole, and the records say so."""
    STAYED = "stayed"
    """It runs at the source alone, whole, and the records say so: the migration was given up."""
    STUCK = "stuck"
    """It is there and does not go on, or nobody can tell."""
    MISRECORDED = "misrecorded"
    """It runs, whole, and what is on record of it is wrong."""
    CORRUPTED = "corrupted"
    """Its memory, or its life, is not what it must be."""
    DOUBLED = "doubled"
    """It runs twice."""
    LOST = "lost"
    """It runs nowhere, and cannot any more."""
    UNTRIED = "untried"
    """The run could not be carried out: it says nothing."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a run came to.

    :ivar unavoidable: whether nothing could have prevented that.
    """

    fate: Fate
    why: str = ""
    unavoidable: bool = False

    @property
    def good(self) -> bool:
        """Whether the guest came through."""
        return self.fate in (Fate.MOVED, Fate.STAYED)

    @property
    def failed(self) -> bool:
        """Whether something happened to the guest that need not have."""
        return not (self.good or self.unavoidable or self.fate is Fate.UNTRIED)


def judge(evidence: Evidence) -> Ruling:
    """Return what became of the guest of a run."""
    if evidence.trouble:
        return Ruling(Fate.UNTRIED, evidence.trouble)
    sight, memory = evidence.sight, evidence.memory
    seen = "; ".join(f"{copy.state} on {copy.host}" for copy in sight.copies) or "nowhere"
    if len(sight.running) > 1:
        return Ruling(Fate.DOUBLED, f"it runs on {' and '.join(sight.running)}: {seen}")
    excuse = "" if sight.running else _excuse(evidence)
    if excuse:
        # libvirt keeps what is left of it at the source, and calls that a job for ever.
        return Ruling(Fate.LOST, excuse, unavoidable=True)
    if not sight.settled:
        return Ruling(Fate.STUCK, seen)
    if not sight.running:
        return Ruling(Fate.LOST, seen)
    if memory is None:
        return Ruling(Fate.STUCK, f"it runs, and does not answer: {seen}")
    if not memory.intact:
        return Ruling(Fate.CORRUPTED, str(memory))
    if sight.records:
        return Ruling(Fate.MISRECORDED, sight.records)
    return Ruling(Fate.STAYED if SOURCE in sight.running else Fate.MOVED)


def _excuse(evidence: Evidence) -> str:
    """Return why a loss could not be helped; empty where the evidence does not show it.

    QEMU before 10.2 ends at the destination when its connection breaks before the devices' state is
    loaded, and the source cannot go back. All of this must be seen: the connection was cut within
    milliseconds of the switch, the destination's QEMU said that loading failed, and the guest was
    never heard there.
    """
    if evidence.switched_at is None or evidence.heard_at_destination is not None:
        return ""
    cuts = [
        mark.at - evidence.switched_at
        for mark in evidence.marks
        if mark.fault.kind in CUTS and mark.at is not None
    ]
    soon = [after for after in cuts if -_HANDOVER_SECONDS < after <= _HANDOVER_SECONDS]
    said = [
        line
        for name, lines in evidence.words.items()
        if name == f"qemu-{DESTINATION}.log"
        for line in lines
        if "load of migration failed" in line or "error while loading state" in line
    ]
    if not soon or not said:
        return ""
    return (
        f"its connection broke {soon[0] * 1000:.0f} ms after the switch, before the destination had"
        f" loaded the devices' state; QEMU there said: {said[-1]}"
    )
