"""Where a domain is, asked of both hosts: the truth that a lost answer is checked against."""

from dataclasses import dataclass

import libvirt

from postcopy.errors import PostcopyError
from postcopy.libvirt.connection import Connection
from postcopy.libvirt.status import phase_of_state
from postcopy.migration.phase import Phase

__all__ = ["Half", "has_job", "judge", "look_at"]


@dataclass(frozen=True, slots=True)
class Half:
    """What one host says of the domain.

    :param reachable: whether the host answered at all.
    :param state: ``VIR_DOMAIN_*``; None when it has no such domain, or does not answer.
    :param reason: what goes with the state.
    :param migrating: whether a job is under way there.
    """

    reachable: bool
    state: int | None = None
    reason: int = 0
    migrating: bool = False

    @property
    def active(self) -> bool:
        """Whether there is a QEMU with this domain."""
        return self.state in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_PAUSED)

    def __str__(self) -> str:
        if not self.reachable:
            return "no answer"
        if self.state is None:
            return "not there"
        return f"{_WORDS.get(self.state, self.state)}, reason {self.reason}"


_WORDS = {
    libvirt.VIR_DOMAIN_RUNNING: "running",
    libvirt.VIR_DOMAIN_PAUSED: "paused",
    libvirt.VIR_DOMAIN_SHUTOFF: "shut off",
    libvirt.VIR_DOMAIN_CRASHED: "crashed",
}


async def look_at(connection: Connection, uuid: str) -> Half:
    """Ask one host. A host that does not answer is an answer too."""
    try:
        domain = await connection.find(uuid)
        if domain is None:
            return Half(reachable=True)

        def ask() -> Half:
            state, reason = domain.state()
            try:
                migrating = has_job(domain)
            except libvirt.libvirtError:
                migrating = True  # too busy to say with what
            return Half(True, state, reason, migrating)

        return await connection.call(ask)
    except PostcopyError:
        return Half(reachable=False)


def has_job(domain: libvirt.virDomain) -> bool:
    """Return whether a job, such as a migration, is under way. Blocks; for use in a thread."""
    if not domain.isActive():
        return False
    try:
        kind = domain.jobInfo()[0]
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return False  # a hypervisor without jobs
        raise
    return kind in (libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED)


def judge(source: Half, destination: Half) -> Phase:
    """Return the phase of a migration that was begun, from what both hosts say.

    `Phase.SETUP` means that no migration is under way and the guest goes on at the source.
    """
    if source.active:
        assert source.state is not None
        return phase_of_state(source.state, source.reason, source.migrating)
    if destination.active:
        if destination.state == libvirt.VIR_DOMAIN_PAUSED:
            failed = getattr(libvirt, "VIR_DOMAIN_PAUSED_POSTCOPY_FAILED", None)
            return Phase.PAUSED if destination.reason == failed else Phase.UNKNOWN
        in_postcopy = {
            getattr(libvirt, name, None)
            for name in ("VIR_DOMAIN_RUNNING_POSTCOPY", "VIR_DOMAIN_RUNNING_POSTCOPY_FAILED")
        }
        if destination.reason in in_postcopy and not source.reachable:
            return Phase.POSTCOPY
        if source.reachable:
            return Phase.COMPLETED
    return Phase.UNKNOWN
