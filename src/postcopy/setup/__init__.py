"""Findings become fixes, a plan, and then what is so on the hosts; and back again.

`make_plan` is pure: it asks the floors' fixes what would mend a host's findings and puts that in
order. `describe` and `diff` show it. `begin` and `go_on` do it, step by step, in a `Record` that
`undo` takes back exactly. `postcopy.setup.emit` says it in the words of a configuration management
instead.
"""

from postcopy.setup.apply import Begun, LostSecretError, begin, go_on
from postcopy.setup.plan import Plan, make_plan, wanted
from postcopy.setup.record import Record, alone
from postcopy.setup.shown import describe, diff
from postcopy.setup.undo import undo

__all__ = [
    "make_plan",
    "Plan",
    "wanted",
    "describe",
    "diff",
    "begin",
    "Begun",
    "go_on",
    "undo",
    "LostSecretError",
    "Record",
    "alone",
]
