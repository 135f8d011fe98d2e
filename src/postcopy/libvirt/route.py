"""Which way an interrupted domain is recovered: one pure function of what both hosts have.

libvirt's own resume is taken where it works. Else both QEMUs are connected past it, and libvirt,
which sees them go on, brings its own records to an end.
"""

import enum
from dataclasses import dataclass

from postcopy import known_issues

__all__ = ["Reach", "Route", "Situation", "choose"]

Version = tuple[int, int, int]

_PREPARE = "postcopy guest prepare gives it one at its next start"


class Reach(enum.StrEnum):
    """How the QEMU of one side is told something that libvirt would not tell it."""

    SECOND = "its second monitor"
    """A monitor of its own, which hears commands also while QEMU's main loop hangs."""
    THROUGH = "libvirt's qemu-monitor-command"
    """Only at the source: the destination's libvirt lets nobody through until the end."""
    BORROWED = "libvirt's own monitor while its daemon restarts"
    """QEMU takes one client after the other: whoever waits in line is next when a daemon ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the choice depends on.

    :ivar source: the version of the source's libvirt; None while it is not known.
    :ivar destination: the same of the destination's.
    :ivar source_monitor: whether the source's QEMU has a second monitor within reach.
    :ivar destination_monitor: the same of the destination's.
    :ivar destination_way: whether there is a way into the destination's host.
    :ivar able_to_cut: whether that host's kernel closes connections when it is asked to.
    :ivar hung: whether the destination's QEMU hangs.
    """

    source: Version | None = None
    destination: Version | None = None
    source_monitor: bool = False
    destination_monitor: bool = False
    destination_way: bool = False
    able_to_cut: bool = False
    hung: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How it is done.

    :ivar resume: whether libvirt resumes it; else `source` and `destination` say how the QEMUs are
        told to connect, where they can be.
    :ivar obstacle: why it would take a person's hand; empty where it does not.
    """

    resume: bool
    source: Reach | None = None
    destination: Reach | None = None
    obstacle: str = ""

    def __str__(self) -> str:
        if self.resume:
            return "libvirt resumes it"
        if self.source is None or self.destination is None:
            return "no way past libvirt"
        return f"past libvirt: by {self.source} at the source, {self.destination} at the other end"


def choose(situation: Situation) -> Route:
    """Return the way that is taken, and what it lacks."""
    versions = {"source": situation.source, "destination": situation.destination}
    trouble = "; ".join(_unable(where, version) for where, version in versions.items() if version
                        and _unable(where, version))  # fmt: skip
    resume = not trouble and not situation.hung
    source = Reach.SECOND if situation.source_monitor else Reach.THROUGH
    destination = None
    if situation.destination_monitor:
        destination = Reach.SECOND
    elif situation.destination_way and not situation.hung and _survives(situation.destination):
        destination = Reach.BORROWED
    return Route(
        resume=resume,
        source=None if resume else source,
        destination=None if resume else destination,
        obstacle=_obstacle(situation, trouble, destination),
    )


def _unable(where: str, version: Version) -> str:
    """Return why libvirt's own resume does not work with that version, if it does not."""
    if known_issues.issue("no-resume").affects(version):
        return f"libvirt {_text(version)} at the {where} cannot resume a post-copy"
    if where == "destination" and known_issues.issue("resume-crash").affects(version):
        return f"libvirt {_text(version)} at the destination crashes when it resumes one"
    return ""


def _survives(version: Version | None) -> bool:
    """Whether a daemon takes its guests in post-copy up again when it was restarted."""
    return version is None or not known_issues.issue("no-resume").affects(version)


def _obstacle(situation: Situation, trouble: str, destination: Reach | None) -> str:
    if situation.destination_monitor:
        return ""
    if situation.hung:
        return (
            "the destination's QEMU hangs, and hears only a second monitor that was opened before:"
            " there is none"
        )
    if trouble and destination is None:
        return (
            f"should the connection break in post-copy, recovery would need a hand: {trouble}, and"
            " there is neither a second monitor of the domain within reach nor a way into the"
            f" destination's host (--dest-host); {_PREPARE}"
        )
    if not situation.destination_way:
        return (
            "should the connection break in post-copy, recovery would need a hand: nobody here"
            " could make the destination notice it, without a second monitor of the domain and"
            f" without a way into that host (--dest-host); {_PREPARE}"
        )
    if not situation.able_to_cut and destination is None:
        return (
            "should the connection break in post-copy, recovery would need a hand: the"
            " destination's kernel closes nobody's connections (CONFIG_INET_DIAG_DESTROY), and the"
            f" domain has no second monitor within reach; {_PREPARE}"
        )
    return ""


def _text(version: Version) -> str:
    return ".".join(map(str, version))
