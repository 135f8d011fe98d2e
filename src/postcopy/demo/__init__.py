"""The main job, told in one run.

`guest` has two QEMUs move a guest: pre-copy that never ends, then post-copy. `server` has Nova move
one by post-copy, in a cloud of the lab's. Both leave a page, and have the guest check every page of
its memory; `Attempt` is what they found. What they share, from the lab made ready to the move on
record, is `scene`.
"""

from postcopy.demo.attempt import Attempt
from postcopy.demo.guest import DemoResult
from postcopy.demo.server import ServerResult

__all__ = ["Attempt", "DemoResult", "ServerResult"]
