"""Checks of a guest's memory: post-copy needs pages that can be missing and then put in place."""

from postcopy.libvirt.readiness.checks.catalogue import CHECKS, answering
from postcopy.libvirt.readiness.checks.guest import guest_of
from postcopy.libvirt.readiness.path import PathFacts
from postcopy.readiness import GuestSubject, Result, failed, passed, skipped, warned
from postcopy.units import format_bytes, format_seconds

__all__: list[str] = []

_GIB = 1 << 30
_ROOM = 1.05
"""QEMU itself needs some memory beside the guest's."""


@CHECKS.guest(
    "libvirt.guest.memory",
    title="the destination has memory for the guest",
    why="A destination that runs out of memory in post-copy kills the guest: it is whole nowhere.",
    remedy="free memory there, or choose another destination",
)
def memory(guest: GuestSubject) -> Result:
    facts, there = guest_of(guest), answering(guest.pair.destination)
    size = facts.huge_page_bytes
    if size is not None:
        size = size or there.huge_page_bytes
        free = there.huge_pages_free.get(size, 0)
        needed = -(-facts.memory_bytes // size)
        saw = f"{free} pages of {format_bytes(size)} are free, {needed} are needed"
        return passed(saw) if free >= needed else failed(saw, "reserve more huge pages there")
    available = there.memory_available_bytes
    if available is None:
        return skipped("the destination does not say what is available")
    needed = int(facts.memory_bytes * _ROOM)
    saw = f"{format_bytes(available)} are available, {format_bytes(needed)} are needed"
    return passed(saw) if available >= needed else failed(saw)


@CHECKS.guest(
    "libvirt.guest.huge-pages",
    title="no page is so large that the guest stands still for it",
    why="A huge page is moved as a whole: a vCPU that needs a byte of it waits for all of it.",
    remedy="back the guest with pages of 2 MiB, or move it by pre-copy",
)
def huge_pages(guest: GuestSubject) -> Result:
    size = guest_of(guest).huge_page_bytes
    if size is None:
        return passed("ordinary pages")
    size = size or answering(guest.pair.source).huge_page_bytes
    path = guest.pair.facts.find(PathFacts)
    rate = path.bytes_per_second if path is not None else None
    stall = f": {format_seconds(size / rate)} for each at {format_bytes(rate)}/s" if rate else ""
    saw = f"pages of {format_bytes(size)}{stall}"
    return warned(saw) if size >= _GIB else passed(saw)


@CHECKS.guest(
    "libvirt.guest.memory-file",
    title="its memory is anonymous, or in memory that can be missing",
    why="userfaultfd knows anonymous memory, tmpfs and huge pages; not files on a disk.",
    remedy="use <source type='memfd'/> or remove <source>, and start the guest anew",
)
def memory_file(guest: GuestSubject) -> Result:
    facts, there = guest_of(guest), answering(guest.pair.destination)
    if facts.memory_source != "file" or facts.huge_page_bytes is not None:
        return passed(facts.memory_source or "anonymous, or huge pages")
    place = there.qemu.text("memory_backing_dir", "/var/lib/libvirt/qemu/ram")
    if place.startswith("/dev/shm"):
        return passed(f"files in {place}, which is tmpfs")
    return failed(f"files in {place}: post-copy is refused unless that is tmpfs")


@CHECKS.guest(
    "libvirt.guest.memory-locked",
    title="its memory is not locked",
    why="Locked memory is filled at once, so QEMU unlocks it for the move and locks it at its end;"
    " the guest stands still until that is done.",
    remedy="remove <locked/> from <memoryBacking>, and start the guest anew",
)
def memory_locked(guest: GuestSubject) -> Result:
    if guest_of(guest).memory_locked:
        return warned("<memoryBacking><locked/></memoryBacking>")
    return passed("it is not")


@CHECKS.guest(
    "libvirt.guest.nvdimm",
    title="it has no persistent memory",
    why="Persistent memory is a file of its host: it cannot be missing, nor move by post-copy.",
    remedy="detach it for the move, or use --policy precopy",
)
def nvdimm(guest: GuestSubject) -> Result:
    found = guest_of(guest).nvdimms
    return failed(", ".join(found)) if found else passed("it has none")


@CHECKS.guest(
    "libvirt.guest.shared-memory",
    title="it shares no memory with other guests",
    why="What others write to shared memory does not move along, and a peer blocks migration.",
    remedy="detach the shmem device for the move",
)
def shared_memory(guest: GuestSubject) -> Result:
    found = guest_of(guest).shared_memory
    if any("(peer)" in one for one in found):
        return failed(", ".join(found))
    return warned(", ".join(found)) if found else passed("it has no shmem device")


@CHECKS.guest(
    "libvirt.guest.protected",
    title="its memory is not encrypted against its host",
    why="A page that only one processor can read is of no use to another.",
    remedy="shut the guest down and start it at the destination",
)
def protected(guest: GuestSubject) -> Result:
    found = guest_of(guest).protected
    return failed(f"launchSecurity {found}") if found else passed("it has no launchSecurity")
