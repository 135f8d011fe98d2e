"""The catalogue, and what most of its checks begin with."""

from dataclasses import replace

from postcopy.nova.facts import NAMES, NovaFacts
from postcopy.qemu.facts import QemuFacts
from postcopy.readiness import Catalogue, HostSubject, MissingFacts, Result, passed, warned

__all__ = ["CHECKS", "compute", "configured", "left_off", "release_name", "said"]

CHECKS = Catalogue()


def compute(host: HostSubject) -> NovaFacts:
    """Return the facts of a compute host.

    :raises MissingFacts: when it is none.
    """
    facts = host.facts.of(NovaFacts)
    if not facts.compute:
        raise MissingFacts("this is no compute host: there is no nova-compute here")
    qemu = host.facts.find(QemuFacts)
    return facts if qemu is None else replace(facts, qemu=qemu.version)


def configured(host: HostSubject) -> NovaFacts:
    """Return the facts of a compute host whose configuration is known.

    :raises MissingFacts: when it is none, or when the configuration cannot be read as a whole.
    """
    facts = compute(host)
    if facts.unreadable:
        path, reason = next(iter(facts.unreadable.items()))
        raise MissingFacts(f"{path} could not be read: {reason}")
    if not facts.files:
        raise MissingFacts("nova-compute has no configuration here")
    broken = [problem for problem in facts.configuration.problems if not problem.option]
    if broken:
        raise MissingFacts(f"the configuration cannot be parsed: {broken[0]}")
    return facts


def said(facts: NovaFacts, name: str, section: str = "libvirt") -> str:
    """Say what an option is, and where that comes from."""
    value = facts.configuration.value(name, section)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"{name} = {text} ({facts.configuration.where(name, section)})"


def left_off(host: HostSubject, name: str, section: str = "libvirt") -> Result:
    """Pass where an option is off or not set, and warn where it is."""
    facts = configured(host)
    saw = said(facts, name, section)
    return warned(saw) if facts.configuration.value(name, section) else passed(saw)


def release_name(release: int) -> str:
    """Return a release as people know it: ``31 (2025.1)``."""
    return f"{release} ({NAMES[release]})" if release in NAMES else str(release)
