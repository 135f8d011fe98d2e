"""Where the QEMU floor's checks are listed, and what several of them ask."""

from postcopy.qemu.facts import QemuFacts
from postcopy.readiness import Catalogue, HostSubject, MissingFacts

__all__ = ["CHECKS", "OPENS_DEVICE", "asked"]

CHECKS = Catalogue()

OPENS_DEVICE = (8, 0, 0)
"""The first version that has userfaultfd from /dev/userfaultfd too."""


def asked(host: HostSubject) -> QemuFacts:
    """Return the facts of a QEMU that answered.

    :raises MissingFacts: when there is none, which is the finding of another check.
    """
    facts = host.facts.of(QemuFacts)
    if facts.binary is None:
        raise MissingFacts(f"no QEMU is installed on {host}")
    if facts.error:
        raise MissingFacts(f"QEMU on {host} does not answer")
    return facts
