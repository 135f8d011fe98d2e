"""Facts, checks, findings: for hosts, for each pair of them, for a guest on a pair.

Start with `examine`. Floors are plugged in as data (`postcopy.doctor.floors`); `registry` knows
all checks by id.
"""

from postcopy.doctor.examine import Examination, Progress, examine
from postcopy.doctor.floors import FLOORS, Floor
from postcopy.doctor.registry import all_checks, select

__all__ = [
    "examine",
    "Examination",
    "Progress",
    "all_checks",
    "select",
    "Floor",
    "FLOORS",
]
