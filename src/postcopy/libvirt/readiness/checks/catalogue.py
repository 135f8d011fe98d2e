"""The list that the checks of this floor are in, and what they have in common."""

from postcopy.libvirt.readiness.facts import LibvirtFacts, Version
from postcopy.readiness import Catalogue, HostSubject, MissingFacts

__all__ = ["CHECKS", "answering", "libvirt_of", "version_text"]

CHECKS = Catalogue()


def libvirt_of(host: HostSubject) -> LibvirtFacts:
    """Return the facts of a host that has libvirt.

    :raises MissingFacts: where it has none, which one check says and no other needs to repeat.
    """
    facts = host.facts.of(LibvirtFacts)
    if not facts.installed:
        raise MissingFacts("libvirt is not installed")
    return facts


def answering(host: HostSubject) -> LibvirtFacts:
    """Return the facts of a host whose daemon answers.

    :raises MissingFacts: where it does not.
    """
    facts = libvirt_of(host)
    if facts.error:
        raise MissingFacts("the libvirt daemon does not answer")
    return facts


def version_text(version: Version | None) -> str:
    """Return a version with its dots."""
    return ".".join(map(str, version)) if version else "an unknown version"
