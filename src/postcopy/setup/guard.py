"""When a service must not be restarted: while a guest is on its way, or lies between two hosts."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from postcopy.errors import RefusedError, UnavailableError
from postcopy.hosts import HostAccess

__all__ = ["GuestState", "check_restart", "objection", "parse_states"]

_SECONDS = 60.0

# One shell on the host for all guests: a call for each would take a round trip for each.
_SCRIPT = """
export LC_ALL=C
virsh -q -c qemu:///system list --name || exit 1
virsh -q -c qemu:///system list --uuid | while read -r uuid; do
    [ -n "$uuid" ] || continue
    echo "== $(virsh -q -c qemu:///system domname "$uuid")"
    virsh -q -c qemu:///system domstate --reason "$uuid"
    virsh -q -c qemu:///system domjobinfo "$uuid"
done
exit 0
"""
_NOT_RUNNING = re.compile(
    r"Failed to connect socket|Connection refused|No such file", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class GuestState:
    """What libvirt says of a guest that is active on a host.

    :ivar state: as ``virsh domstate --reason`` has it: ``running (post-copy)``.
    :ivar job: as ``virsh domjobinfo`` has it; empty without one.
    """

    name: str
    state: str
    job: str = ""

    @property
    def interrupted(self) -> bool:
        """Whether its post-copy has failed: neither host has all of its memory."""
        return "post-copy failed" in self.state or "postcopy-failed" in self.state

    @property
    def on_its_way(self) -> bool:
        """Whether a migration of it is under way, out of this host or into it."""
        return (
            "migrat" in self.job.lower()
            or "post-copy" in self.state
            or "postcopy" in self.state
            or self.state == "paused (migrating)"
        )


def parse_states(text: str) -> list[GuestState]:
    """Read what the script on the host printed."""
    guests = []
    for block in re.split(r"^== ", text, flags=re.MULTILINE)[1:]:
        name, *lines = block.splitlines() or [""]
        state = next((line.strip() for line in lines if line.strip()), "")
        told = dict(line.split(":", 1) for line in lines if ":" in line)
        kind = told.get("Job type", "None").strip()
        operation = told.get("Operation", "").strip()
        # A job of a kind that was never heard of counts as one.
        job = "" if kind == "None" else operation or kind
        guests.append(GuestState(name.strip(), state, job))
    return guests


def objection(service: str, guests: Iterable[GuestState]) -> str:
    """Return why a service must not be restarted now; empty where it may be."""
    for guest in guests:
        if guest.interrupted and service.startswith("nova"):
            return (
                f"guest {guest.name} is {guest.state}: Nova would reset it to active on the source,"
                " and stay wrong after its recovery"
            )
        if guest.on_its_way and _concerned(service):
            return f"guest {guest.name} is being migrated ({guest.job or guest.state})"
    return ""


def _concerned(service: str) -> bool:
    return service.startswith(("libvirt", "virt", "nova"))


async def check_restart(host: HostAccess, service: str) -> None:
    """Return if a service of a host may be restarted now.

    :raises RefusedError: when that could hurt a guest, or nobody can tell.
    """
    if not _concerned(service):
        return
    try:
        done = await host.run("sh", stdin=_SCRIPT, seconds=_SECONDS)
    except UnavailableError as error:
        raise RefusedError(
            f"{service} of host {host.name} is not restarted: libvirt does not say whether a guest"
            f" is being migrated ({error})",
            hint="see what its daemon waits for, then run this again: it goes on from here",
        ) from error
    if done.returncode:
        if not service.startswith("nova") and _NOT_RUNNING.search(done.stderr):
            return  # it is not there to be interrupted
        said = (done.stderr.strip().splitlines() or ["virsh failed"])[-1]
        raise RefusedError(
            f"{service} of host {host.name} is not restarted: libvirt does not say whether a guest"
            f" is being migrated ({said})",
            hint="virsh must work there as root; then run this again: it goes on from here",
        )
    if reason := objection(service, parse_states(done.stdout)):
        raise RefusedError(
            f"{service} of host {host.name} is not restarted: {reason}",
            hint="wait for the migration, or recover the guest; then run this again",
        )
