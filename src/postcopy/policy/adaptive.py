"""Go on while passes shrink towards the downtime limit; switch at a pass's end when they do not.

A guest that lets pre-copy converge is spared post-copy altogether; one that does not is switched
at the moment when the least is outstanding, right after a pass.
"""

from dataclasses import dataclass

from postcopy.migration.decision import Action, Decision, History
from postcopy.units import format_bytes, format_seconds

__all__ = ["Adaptive"]


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Judge each pass by the one before.

    :param min_shrink: the part by which a pass must be smaller than the one before it.
    :param max_passes: switch after this many, however well they shrink: each costs time, and
        passes that shrink for ever without reaching the limit converge to something above it.
    """

    min_shrink: float = 0.1
    max_passes: int = 12
    name: str = "adaptive"
    uses_postcopy: bool = True

    def decide(self, history: History) -> Decision:
        """Switch only at a pass's end: in its middle, more is outstanding than at either end."""
        latest = history.latest
        if latest is None or not latest.pass_ended:
            return Decision(Action.CONTINUE, "a pass is under way")
        ended, left = len(history.passes), latest.remaining_bytes
        if self._fits(history, left):
            return Decision(
                Action.CONTINUE,
                f"the {format_bytes(left)} left fit into a stop of"
                f" {format_seconds(history.downtime_limit)}: pre-copy ends by itself",
            )
        if ended >= self.max_passes:
            return Decision(Action.SWITCH, f"{ended} passes have not reached the downtime limit")
        if ended == 1:
            return Decision(
                Action.CONTINUE,
                f"{format_bytes(left)} were dirtied during the first pass; the next one shows"
                " whether that shrinks",
            )
        before = history.passes[-2].remaining_bytes
        shrink = 1 - left / before if before else 0.0
        passes = f"{format_bytes(before)} -> {format_bytes(left)}"
        if shrink >= self.min_shrink:
            return Decision(Action.CONTINUE, f"passes shrink: {passes}")
        return Decision(Action.SWITCH, f"passes do not shrink: {passes}")

    def _fits(self, history: History, left: int) -> bool:
        return left <= history.bandwidth * history.downtime_limit
