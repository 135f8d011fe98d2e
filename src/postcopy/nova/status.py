"""What Nova and libvirt say of a live migration, in our words. Pure: a look in, a verdict out.

Nova alone proves little: ``running (post-copy)`` means that it asked libvirt to switch, and a
server stays at the source until Nova has finished. Where libvirts were asked, their word counts for
the guest, and Nova's for what Nova knows of it.
"""

from dataclasses import dataclass

from postcopy.migration.phase import Phase
from postcopy.nova import advice
from postcopy.nova.look import Look, Seen

__all__ = ["Verdict", "judge"]

_PHASES = {
    "accepted": Phase.SETUP,
    "queued": Phase.SETUP,
    "preparing": Phase.SETUP,
    "running": Phase.PRECOPY,
    "running (post-copy)": Phase.POSTCOPY,
    "completed": Phase.COMPLETED,
    "done": Phase.COMPLETED,
    "failed": Phase.FAILED,
    "error": Phase.FAILED,
    "cancelled": Phase.CANCELLED,
}

_FINISHING_SECONDS = 180.0
"""How long Nova may take to notice that a guest has arrived: its conductor may be slow."""
_SETTLING_SECONDS = 15.0
"""How long its places may contradict each other: they are neither written nor read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a look means.

    :ivar phase: None where it says nothing new: as before.
    :ivar status: what is said, in Nova's and libvirt's words.
    :ivar error: why it does not end well, or cannot be told.
    :ivar hint: what to do about that.
    :ivar after: for how many seconds looks must say the same before it is believed.
    """

    phase: Phase | None
    status: str = ""
    error: str = ""
    hint: str = ""
    after: float = 0.0


def judge(look: Look, name: str, source: str, seen: Seen | None = None) -> Verdict:
    """Say where a live migration stands.

    :param name: what the user calls the server.
    :param source: the host that it leaves, as Nova calls it.
    :param seen: what libvirts say; None where none was asked, or none answers.
    """
    if look.server is None:
        return Verdict(
            phase=Phase.FAILED,
            status=look.status,
            error=f"server {name!r} was deleted meanwhile",
            hint=advice.deleted(name),
        )
    if look.at_rest and look.host and look.host != source:
        # Its record may go on saying that it runs for a while.
        return Verdict(phase=Phase.COMPLETED, status=look.status, error=look.fault)
    if look.at_rest:
        return _at_rest(look, name, source, seen)
    return _by_libvirt(look, name, source, seen) if seen is not None else _by_nova(look)


def _by_nova(look: Look) -> Verdict:
    """Nova is at it, and nobody else was asked."""
    phase = _PHASES.get(look.status, Phase.UNKNOWN) if look.migration else Phase.SETUP
    if phase.terminal:
        return Verdict(phase=None, status=f"{look.status}, and Nova is finishing")
    if phase is Phase.PRECOPY and not look.memory_moves:
        return Verdict(phase=Phase.SETUP, status=_preparing(look))
    if look.status == "queued":
        return Verdict(phase=phase, status="queued: waiting for its turn to leave the host")
    return Verdict(phase=phase, status=look.status or "asked for")


def _by_libvirt(look: Look, name: str, source: str, seen: Seen) -> Verdict:
    """Nova is at it, and libvirt says how far it is."""
    nova = _PHASES.get(look.status, Phase.UNKNOWN)
    both = f"{look.status or 'asked for'}; {seen.words}"
    match seen.phase:
        case Phase.PAUSED:
            return _interrupted(look, name, source, both)
        case Phase.SWITCHOVER | Phase.POSTCOPY:
            return Verdict(phase=seen.phase, status=both)
        case Phase.PRECOPY:
            moves = bool(seen.statistics.get("memory_total"))
            return Verdict(phase=seen.phase if moves else Phase.SETUP, status=both)
        case Phase.SETUP if nova is Phase.SETUP:
            return Verdict(phase=Phase.SETUP, status=look.status or "asked for")
        case Phase.COMPLETED:
            # For as long as Nova has not finished, it is not over; and Nova may never finish.
            return Verdict(
                phase=Phase.ASTRAY,
                status=f"{both}; Nova is finishing",
                error=f"the guest runs at {look.destination}, and Nova does not finish",
                hint=advice.astray(name, source, look.destination),
                after=_FINISHING_SECONDS,
            )
        case _:
            return Verdict(phase=None, status=both)


def _at_rest(look: Look, name: str, source: str, seen: Seen | None) -> Verdict:
    """Nova does nothing with the server, and takes it to be at the source."""
    nova = _PHASES.get(look.status, Phase.UNKNOWN)
    where = seen.phase if seen is not None else Phase.UNKNOWN
    words = f"{look.status or 'no record'}{f'; {seen.words}' if seen is not None else ''}"
    if where is Phase.COMPLETED:
        return Verdict(
            phase=Phase.ASTRAY,
            status=words,
            error=f"the guest runs at {look.destination}, and Nova takes it to be at {source}",
            hint=advice.astray(name, source, look.destination),
            after=_SETTLING_SECONDS,
        )
    if where is Phase.PAUSED:
        return _interrupted(look, name, source, words)
    if where in (Phase.PRECOPY, Phase.SWITCHOVER, Phase.POSTCOPY):
        # It goes on in libvirt: nova-compute was started again, or is calling it off.
        off = nova in (Phase.FAILED, Phase.CANCELLED) and where is Phase.PRECOPY
        return Verdict(phase=None if off else where, status=f"{words}; Nova has let go of it")
    if nova in (Phase.FAILED, Phase.CANCELLED):
        return _ended(look, name, source, nova, where, words)
    if where is Phase.SETUP and nova is not Phase.COMPLETED:
        return Verdict(
            phase=Phase.FAILED,
            status=words,
            error="Nova has let go of the migration: was nova-compute started again?",
            hint=advice.failed(source),
            after=_SETTLING_SECONDS,
        )
    said = f"calls the migration {look.status}" if look.status else "has no record of the migration"
    return Verdict(
        phase=Phase.UNKNOWN,
        status=words,
        error=f"Nova {said}, does nothing with the server, and takes it to be at {source}:"
        f" the guest may be at {look.destination or 'the destination'} all the same",
        hint=advice.let_go(name, source, look.destination or "the destination"),
        after=_SETTLING_SECONDS,
    )


def _ended(look: Look, name: str, source: str, nova: Phase, where: Phase, words: str) -> Verdict:
    """Nova has given up, or was told to; the guest should go on at the source."""
    broken = str((look.server or {}).get("status")) == "ERROR" or look.power in (
        "shut down",
        "crashed",
    )
    if broken and where is not Phase.SETUP:
        return Verdict(
            phase=Phase.UNKNOWN,
            status=words,
            error=look.fault or f"Nova says {look.status}, and that the guest is {look.power}",
            hint=advice.unknown(name, source, look.destination),
            after=_SETTLING_SECONDS,
        )
    hint = advice.failed(source) if nova is Phase.FAILED else ""
    return Verdict(phase=nova, status=words, error=look.fault, hint=hint)


def _interrupted(look: Look, name: str, source: str, words: str) -> Verdict:
    return Verdict(
        phase=Phase.PAUSED,
        status=words,
        error="the connection between the hosts broke in post-copy",
        hint=advice.interrupted(name, source, look.destination),
    )


def _preparing(look: Look) -> str:
    own = look.own or {}
    total, left = own.get("disk_total_bytes"), own.get("disk_remaining_bytes")
    if total and left is not None:
        return f"{look.status}: copying disks, {100 * (total - left) // total} % done"
    return f"{look.status}, no figures yet"
