"""What brings the halves of a guest together again when post-copy's connection broke.

Start with `Recovery`: it looks at both sides, has both pause, waits for the way between them,
connects them again, and looks whether that worked, as often as it takes. What comes next is a pure
function of what both sides say (`next_step`), so whoever takes over in the middle goes on alike. A
driver that can be helped offers a `Rescue`; `StallWatch` notices what no hypervisor says.
"""

from postcopy.migration.recovery.recovery import Ending, Recovery, Verdict
from postcopy.migration.recovery.seam import Connection, Half, Look, Rescue, Wire
from postcopy.migration.recovery.stall import StallWatch
from postcopy.migration.recovery.steps import Step, next_step

__all__ = [
    "Recovery",
    "Verdict",
    "Ending",
    "Rescue",
    "Wire",
    "Look",
    "Half",
    "Connection",
    "StallWatch",
    "Step",
    "next_step",
]
