"""The core: what a migration is, whoever carries it out. Start with `Supervisor`.

A driver (`Driver`, implemented on each floor) moves the guest and yields `Sample` objects; a
`Policy` looks at their `History` and returns a `Decision`; the `Supervisor` carries it out and
records everything in the `Journal`. `Phase` is the only state a migration has.

This room knows no hypervisor: floors import its words, it imports none of them.
"""

from postcopy.migration.decision import Action, Decision, History, Policy
from postcopy.migration.driver import Driver
from postcopy.migration.journal import Journal
from postcopy.migration.outcome import Fate, Figures, Outcome
from postcopy.migration.phase import IllegalTransitionError, Phase, PhaseTracker
from postcopy.migration.sample import Look, Sample
from postcopy.migration.supervisor import Supervisor

__all__ = [
    "Supervisor",
    "Driver",
    "Policy",
    "Phase",
    "Sample",
    "Look",
    "History",
    "Decision",
    "Action",
    "Outcome",
    "Fate",
    "Figures",
    "Journal",
    "PhaseTracker",
    "IllegalTransitionError",
]
