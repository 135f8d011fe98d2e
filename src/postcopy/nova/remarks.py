"""What a user would not expect of a migration by Nova, told once each."""

from postcopy.migration.phase import Phase
from postcopy.nova.look import Look, Seen

__all__ = ["Remarks"]

_UNPROVEN_SECONDS = 3.0
"""How far Nova and libvirt may be apart at a switch: they are not asked at once."""
_STUCK_SECONDS = 60.0
"""Without any progress in post-copy for this long, a user should know."""


class Remarks:
    """Notes them.

    :param notes: where to.
    """

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes
        self._told: set[str] = set()
        self._progress: tuple[int, float] | None = None
        self._unproven_since: float | None = None

    def note(self, key: str, text: str) -> None:
        """Note something, unless that was done before.

        :param key: what tells it from other things.
        """
        if key not in self._told:
            self._told.add(key)
            self._notes.append(text)

    def leave_out(self, key: str) -> None:
        """Never note this: it would say again what another note says."""
        self._told.add(key)

    def on(
        self,
        at: float,
        phase: Phase,
        look: Look,
        seen: Seen | None,
        *,
        source: str,
        switched: bool,
        paused: bool,
    ) -> None:
        """Note what a look shows.

        :param phase: where the migration stands.
        :param source: the host that the server leaves.
        :param switched: whether a switch was asked for.
        :param paused: whether the guest was made to stand still before it has moved.
        """
        said = look.status == "running (post-copy)"
        if said and not switched:
            self.note(
                "automatic",
                "Nova has gone over to post-copy by itself (live_migration_timeout_action is"
                " force_complete): it is followed to its end",
            )
        if not (said and seen is not None and seen.phase is Phase.PRECOPY):
            self._unproven_since = None
        elif self._unproven_since is None:
            self._unproven_since = at
        elif at - self._unproven_since > _UNPROVEN_SECONDS:
            self.note("unproven", "Nova says post-copy, and libvirt that it has not begun")
        if paused and phase is Phase.PRECOPY:
            who = "to end pre-copy" if switched else "by itself"
            self.note(
                "paused",
                f"the guest was paused {who}: post-copy is not permitted on {source}. It goes on"
                " when it has moved",
            )
        if look.fault and phase is Phase.COMPLETED:
            self.note("fault", f"Nova has noted a fault of the server: {look.fault}")
        if phase is Phase.POSTCOPY and seen is None:
            self._watch_progress(at, look, source)

    def _watch_progress(self, at: float, look: Look, source: str) -> None:
        """Nova's figure in percent is all that is seen of a post-copy without libvirt."""
        progress = int((look.server or {}).get("progress") or 0)
        if self._progress is None or self._progress[0] != progress:
            self._progress = (progress, at)
        elif at - self._progress[1] > _STUCK_SECONDS:
            self.note(
                "stuck",
                f"no progress in post-copy for {_STUCK_SECONDS:.0f} s: was it interrupted? on"
                f" {source}, virsh domstate --reason tells",
            )
