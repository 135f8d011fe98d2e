"""What each version gets wrong in live migration, and which version puts it right.

One table, read by the guards that refuse before a guest is hurt and by the checks that tell before
anybody tries. Versions are those of the
component named, as (major, minor, micro); a range holds its first version and not its last.
"""

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["KNOWN_ISSUES", "KnownIssue", "find", "issue"]

Version = tuple[int, int, int]
_ALWAYS: Version = (0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIssue:
    """One thing that goes wrong.

    :ivar component: ``qemu`` or ``libvirt``.
    :ivar since: the first version that has it.
    :ivar lifted: the first version that does not; None while none is known.
    :ivar accelerator: the only one concerned; None concerns all.
    :ivar unequal: whether it takes two hosts of different versions, of which one has it.
    :ivar what: what goes wrong, and what it does to the guest.
    """

    id: str
    component: str
    what: str
    since: Version = _ALWAYS
    lifted: Version | None = None
    accelerator: str | None = None
    unequal: bool = False

    def affects(self, version: Version, accelerator: str | None = None) -> bool:
        """Return whether a version has it, under an accelerator (``tcg``, ``kvm``)."""
        if self.accelerator is not None and accelerator != self.accelerator:
            return False
        return self.since <= version and (self.lifted is None or version < self.lifted)

    @property
    def remedy(self) -> str:
        """What lifts it, in words."""
        if self.lifted is None:
            return "no version is known to lift this"
        return f"{_NAMES[self.component]} {'.'.join(map(str, self.lifted))} lifts this"


_NAMES = {"qemu": "QEMU", "libvirt": "libvirt"}

KNOWN_ISSUES = (
    # Seen on 7.2, 4 of 4. Refused by QEMU itself from 8.1 ("migration: Disable postcopy + multifd
    # migration"), also when libvirt 9.0 asks for it.
    KnownIssue(
        id="multifd-postcopy-loss",
        component="qemu",
        lifted=(8, 1, 0),
        what="parallel connections (multifd) together with post-copy lose the guest on both sides,"
        " while success is reported",
    ),
    KnownIssue(
        id="multifd-postcopy",
        component="qemu",
        since=(8, 1, 0),
        lifted=(10, 1, 0),
        what="parallel connections (multifd) exclude post-copy",
    ),
    KnownIssue(
        id="parallel-postcopy-unchecked",
        component="libvirt",
        what="parallel connections together with post-copy are handed to QEMU unchecked, so that"
        " what comes of them is for QEMU's version to say",
    ),
    # "migration: Postpone postcopy preempt channel to be after main", in 8.0.
    KnownIssue(
        id="preempt-channel-order",
        component="qemu",
        since=(7, 1, 0),
        lifted=(8, 0, 0),
        what="with postcopy-preempt the second connection may arrive before the first, and the"
        " migration then makes no progress, not even in pre-copy",
    ),
    KnownIssue(
        id="tcg-memory-corruption",
        component="qemu",
        lifted=(9, 0, 0),
        accelerator="tcg",
        what="migrating an emulated guest corrupts its memory now and then",
    ),
    KnownIssue(
        id="tcg-dirty-bitmap",
        component="qemu",
        accelerator="tcg",
        what="measuring the dirty rate in dirty-bitmap mode kills an emulated guest (7.2) or always"
        " reads 0 (10.0)",
    ),
    KnownIssue(
        id="preempt-unequal",
        component="qemu",
        since=(7, 0, 0),
        lifted=(8, 0, 0),
        unequal=True,
        what="a post-copy with postcopy-preempt does not get beyond the switch, because the two"
        " sides do not agree when its second connection is made",
    ),
    KnownIssue(
        id="device-state-loss",
        component="qemu",
        lifted=(10, 2, 0),
        what="device state that fails to load after the switch leaves the guest paused for good",
    ),
    KnownIssue(
        id="no-resume",
        component="libvirt",
        lifted=(8, 5, 0),
        what="an interrupted post-copy cannot be resumed (VIR_MIGRATE_POSTCOPY_RESUME)",
    ),
    KnownIssue(
        id="resume-crash",
        component="libvirt",
        since=(11, 2, 0),
        lifted=(11, 4, 0),
        what="resuming an interrupted post-copy crashes the destination's libvirtd",
    ),
)


def issue(name: str) -> KnownIssue:
    """Return the entry of that id."""
    return next(known for known in KNOWN_ISSUES if known.id == name)


def find(
    component: str, versions: Iterable[Version], accelerator: str | None = None
) -> list[KnownIssue]:
    """Return what at least one of these versions of a component gets wrong."""
    several = list(versions)
    return [
        known
        for known in KNOWN_ISSUES
        if known.component == component
        and any(known.affects(version, accelerator) for version in several)
    ]
