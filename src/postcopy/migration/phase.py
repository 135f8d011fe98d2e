"""The one state of a migration, and which states can come after which."""

import enum
from collections.abc import Mapping
from types import MappingProxyType

from postcopy.errors import PostcopyError

__all__ = ["IllegalTransitionError", "Phase", "PhaseTracker"]


class Phase(enum.StrEnum):
    """Where a migration stands, in words that hold for every hypervisor interface.

    Each driver translates its own states into these; one it has never heard of becomes `UNKNOWN`.
    """

    SETUP = "setup"
    """Asked for, no memory sent yet; disks may be on their way."""
    PRECOPY = "precopy"
    """The guest runs on the source while its memory is sent, pass by pass."""
    SWITCHOVER = "switchover"
    """The guest is stopped; device state is on its way."""
    POSTCOPY = "postcopy"
    """The guest runs on the destination and fetches what it lacks."""
    PAUSED = "paused"
    """The connection broke in post-copy: half the guest is on each host, and it stands still."""
    RECOVERING = "recovering"
    """The two halves are being connected again."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ASTRAY = "astray"
    """The guest has arrived, and what manages it takes it to be at the source for good."""
    UNKNOWN = "unknown"
    """Nobody can say now: the monitor does not answer, or uses a word never heard before."""

    @property
    def terminal(self) -> bool:
        """Whether nothing can come after this."""
        return self in _TERMINAL

    @property
    def spread(self) -> bool:
        """Whether the guest's memory is spread over both hosts, so that neither can go on alone."""
        return self in _SPREAD

    def reachable(self) -> frozenset["Phase"]:
        """Return every phase that an observer may see next.

        Samples are taken now and then, so phases in between may never be seen: this is the
        transitive closure of the direct steps.
        """
        return _REACHABLE[self]


_TERMINAL = frozenset({Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED, Phase.ASTRAY})
_SPREAD = frozenset({Phase.POSTCOPY, Phase.PAUSED, Phase.RECOVERING})

# The direct steps. There is no way back from post-copy to pre-copy, and none from post-copy to
# cancelled: the newest copy of some pages exists on the destination alone.
_STEPS: Mapping[Phase, frozenset[Phase]] = MappingProxyType(
    {
        Phase.SETUP: frozenset({Phase.PRECOPY, Phase.FAILED, Phase.CANCELLED}),
        Phase.PRECOPY: frozenset(
            {Phase.SWITCHOVER, Phase.COMPLETED, Phase.ASTRAY, Phase.FAILED, Phase.CANCELLED}
        ),
        Phase.SWITCHOVER: frozenset(
            {Phase.POSTCOPY, Phase.COMPLETED, Phase.ASTRAY, Phase.FAILED, Phase.CANCELLED}
        ),
        Phase.POSTCOPY: frozenset({Phase.PAUSED, Phase.COMPLETED, Phase.ASTRAY, Phase.FAILED}),
        Phase.PAUSED: frozenset({Phase.RECOVERING, Phase.FAILED}),
        Phase.RECOVERING: frozenset({Phase.POSTCOPY, Phase.PAUSED, Phase.COMPLETED, Phase.FAILED}),
        Phase.COMPLETED: frozenset(),
        Phase.FAILED: frozenset(),
        Phase.CANCELLED: frozenset(),
        Phase.ASTRAY: frozenset(),
    }
)


def _closure(start: Phase) -> frozenset[Phase]:
    seen: set[Phase] = set()
    ahead = set(_STEPS[start])
    while ahead:
        phase = ahead.pop()
        if phase not in seen:
            seen.add(phase)
            ahead |= _STEPS[phase]
    return frozenset(seen)


_REACHABLE: Mapping[Phase, frozenset[Phase]] = MappingProxyType(
    {phase: _closure(phase) for phase in _STEPS} | {Phase.UNKNOWN: frozenset(_STEPS)}
)


class IllegalTransitionError(PostcopyError):
    """A phase was reported that cannot come after what was seen before."""

    def __init__(self, before: Phase, after: Phase) -> None:
        super().__init__(
            f"a migration in phase {before} was reported as {after}, which cannot follow",
            hint="the report was ignored; if it goes on, two migrations are being mixed up",
        )
        self.before = before
        self.after = after


class PhaseTracker:
    """Follows one migration's phase and refuses steps that cannot be.

    A look that fails (`Phase.UNKNOWN`) does not wipe out what was known: the next known phase is
    judged against the last known one.
    """

    def __init__(self, phase: Phase = Phase.SETUP) -> None:
        self.phase = phase
        self._known = phase

    def observe(self, phase: Phase) -> bool:
        """Take in a reported phase and return whether it differs from the one before.

        :raises IllegalTransitionError: when it cannot follow; the tracker stays as it was.
        """
        if phase is self.phase:
            return False
        if phase is Phase.UNKNOWN:
            if self.phase.terminal:
                raise IllegalTransitionError(self.phase, phase)
        elif phase is not self._known and phase not in self._known.reachable():
            raise IllegalTransitionError(self._known, phase)
        self.phase = phase
        if phase is not Phase.UNKNOWN:
            self._known = phase
        return True
