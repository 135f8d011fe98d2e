"""Go on while passes shrink towards the downtime limit; switch at a pass's end when they do not.

A guest that lets pre-copy converge is spared post-copy altogether; one that does not is switched
at the moment when the least is outstanding, right after a pass.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from postcopy.migration.decision import Action, Decision, History
from postcopy.units import format_bytes, format_seconds

__all__ = ["Adaptive"]


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Judge each pass by the one before.

    :param passes_ahead: go on only if at the present pace the limit is reached within this many
        more passes. A hot set that is rewritten whole in every pass shrinks by noise alone, and
        each such pass costs time and saves none.
    """

    passes_ahead: int = 4
    name: ClassVar[str] = "adaptive"
    uses_postcopy: ClassVar[bool] = True

    def decide(self, history: History) -> Decision:
        """Switch only at a pass's end: in its middle, more is outstanding than at either end."""
        latest = history.latest
        if latest is None or not latest.pass_ended:
            return Decision(Action.CONTINUE, "a pass is under way")
        left, limit = latest.remaining_bytes, history.bandwidth * history.downtime_limit
        if left <= limit:
            return Decision(
                Action.CONTINUE,
                f"the {format_bytes(left)} left fit into a stop of"
                f" {format_seconds(history.downtime_limit)}: pre-copy ends by itself",
            )
        if len(history.passes) == 1:
            return Decision(
                Action.CONTINUE,
                f"{format_bytes(left)} are left after the first pass; the next one shows whether"
                " that shrinks",
            )
        before = history.passes[-2].remaining_bytes
        passes = f"{format_bytes(before)} -> {format_bytes(left)}"
        if left >= before:
            return Decision(Action.SWITCH, f"passes do not shrink: {passes}")
        if limit <= 0:
            return Decision(Action.SWITCH, "nothing is being sent")
        ahead = math.ceil(math.log(limit / left) / math.log(left / before))
        if ahead > self.passes_ahead:
            return Decision(
                Action.SWITCH,
                f"passes shrink too slowly: {passes}, and at this pace {ahead} more to go",
            )
        return Decision(Action.CONTINUE, f"passes shrink: {passes}, about {ahead} more to go")
