"""Whether a guest's memory has a place at the destination, and what size its pages come in."""

from postcopy.kernel.checks.catalogue import CHECKS
from postcopy.kernel.facts import KernelFacts
from postcopy.readiness import HostSubject, PairSubject, Result, failed, passed, skipped, warned
from postcopy.units import format_bytes, format_rate, format_seconds

_GIB = 1 << 30
_ASSUMED_BITS_PER_SECOND = 10**10
_LEAST_AVAILABLE = 0.05
_MOST_PRESSURE_PERCENT = 10.0


@CHECKS.host(
    "kernel.memory.available",
    title="there is memory left",
    why="A destination that runs out of memory in post-copy kills a guest that no other host has.",
    remedy="move guests away, or add memory: see free -m",
)
def available(host: HostSubject) -> Result:
    memory = host.facts.of(KernelFacts).memory
    total, left = memory.get("MemTotal"), memory.get("MemAvailable")
    if not total or left is None:
        return skipped("/proc/meminfo does not tell")
    saw = f"{format_bytes(left)} of {format_bytes(total)} are available"
    return warned(saw) if left < total * _LEAST_AVAILABLE else passed(saw)


@CHECKS.host(
    "kernel.memory.swap",
    title="swap is not in heavy use",
    why="A page that arrives from the network and has to wait for a disk first makes the guest wait"
    " for both.",
    remedy="free memory, then swapoff -a && swapon -a",
)
def swap(host: HostSubject) -> Result:
    memory = host.facts.of(KernelFacts).memory
    total, free = memory.get("SwapTotal"), memory.get("SwapFree")
    if total is None or free is None:
        return skipped("/proc/meminfo does not tell")
    if not total:
        return passed("there is no swap")
    saw = f"{format_bytes(total - free)} of {format_bytes(total)} are in use"
    return warned(saw) if free < total / 2 else passed(saw)


@CHECKS.host(
    "kernel.memory.overcommit",
    title="a guest's memory may be promised before it is there",
    why="With strict accounting the destination's QEMU does not start unless all memory of the"
    " guest is free to be promised.",
    remedy="sysctl -w vm.overcommit_memory=0",
)
def overcommit(host: HostSubject) -> Result:
    facts = host.facts.of(KernelFacts)
    if facts.overcommit is None:
        return skipped("vm.overcommit_memory is not known")
    if facts.overcommit != 2:
        return passed(f"vm.overcommit_memory is {facts.overcommit}")
    left = facts.memory.get("CommitLimit", 0) - facts.memory.get("Committed_AS", 0)
    return warned(f"vm.overcommit_memory is 2, and {format_bytes(left)} may still be promised")


@CHECKS.host(
    "kernel.memory.pressure",
    title="nothing waits for memory",
    why="A host that is short of memory makes guests in post-copy wait twice for each page.",
    remedy="move guests away: see cat /proc/pressure/memory",
    since="Linux 4.20",
)
def pressure(host: HostSubject) -> Result:
    waited = host.facts.of(KernelFacts).memory_pressure_percent
    if waited is None:
        return skipped("the kernel does not keep /proc/pressure/memory")
    saw = f"something waited for {waited:.0f} % of the last minute"
    return warned(saw) if waited > _MOST_PRESSURE_PERCENT else passed(saw)


@CHECKS.host(
    "kernel.memory.gigantic",
    title="no guest has pages of 1 GiB",
    why="Post-copy brings whole pages, so a guest that touches a missing page of 1 GiB stands still"
    " for as long as a gibibyte takes on the wire.",
    remedy="back guests that are to move with pages of 2 MiB: virsh edit GUEST",
)
def gigantic(host: HostSubject) -> Result:
    facts = host.facts.of(KernelFacts)
    reserved, free = facts.hugepages.get(_GIB, (0, 0))
    if not reserved:
        return passed("no page of 1 GiB is reserved")
    link = facts.fastest_link
    bits = link.bits_per_second if link and link.bits_per_second else _ASSUMED_BITS_PER_SECOND
    rate = bits / 8
    speed = f"{format_rate(rate)} of {link.name}" if link else f"an assumed {format_rate(rate)}"
    return warned(
        f"{reserved} are reserved, {reserved - free} in use; each missing one is a stall of"
        f" {format_seconds(_GIB / rate)} at {speed}"
    )


@CHECKS.host(
    "kernel.memory.transparent",
    title="a guest gets its huge pages back",
    why="Post-copy breaks memory into pages of 4 KiB, and a guest stays slower afterwards unless"
    " the kernel joins them again.",
    remedy="echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
)
def transparent(host: HostSubject) -> Result:
    word = host.facts.of(KernelFacts).transparent
    if not word:
        return skipped("the kernel has no transparent huge pages")
    saw = f"transparent huge pages: {word}"
    return warned(saw) if word == "never" else passed(saw)


@CHECKS.host(
    "kernel.memory.locked",
    title="no guest's memory is locked",
    why="QEMU has to unlock all of it for a post-copy and can lock it again only at the end, if the"
    " destination's limit allows that.",
    remedy="virsh edit GUEST: take <locked/> out of <memoryBacking>",
)
def locked(host: HostSubject) -> Result:
    qemus = host.facts.of(KernelFacts).qemus
    if not qemus:
        return skipped("no QEMU runs here")
    found = [qemu for qemu in qemus if qemu.locked_bytes > 64 << 20]
    if found:
        most = max(qemu.locked_bytes for qemu in found)
        return warned(
            f"{len(found)} of {len(qemus)} QEMUs lock memory, {format_bytes(most)} at most"
        )
    return passed(f"none of {len(qemus)} QEMUs locks memory")


@CHECKS.pair(
    "kernel.memory.room",
    title="the source's largest guest fits into the destination",
    why="A destination that runs out of memory in post-copy kills a guest that no other host has.",
    remedy="move guests away from the destination first: see free -m",
)
def room(pair: PairSubject) -> Result:
    source = pair.source.facts.of(KernelFacts)
    left = pair.destination.facts.of(KernelFacts).memory.get("MemAvailable")
    if not source.qemus:
        return skipped("no QEMU runs on the source")
    if left is None:
        return skipped("/proc/meminfo of the destination does not tell")
    largest = max(qemu.resident_bytes for qemu in source.qemus)
    saw = f"the largest QEMU holds {format_bytes(largest)}, {format_bytes(left)} are available"
    return failed(saw) if largest > left else passed(saw)


@CHECKS.pair(
    "kernel.memory.huge",
    title="the destination has huge pages of the source's sizes",
    why="A guest made of huge pages does not start where there are none of their size.",
    remedy="echo NUMBER > /sys/kernel/mm/hugepages/hugepages-SIZEkB/nr_hugepages",
)
def huge(pair: PairSubject) -> Result:
    source = pair.source.facts.of(KernelFacts).hugepages
    destination = pair.destination.facts.of(KernelFacts).hugepages
    used = {size: total - free for size, (total, free) in source.items() if total > free}
    if not used:
        return skipped("nothing on the source uses reserved huge pages")
    short = [
        f"{count} pages of {size >> 10} KiB are in use there, {destination.get(size, (0, 0))[1]}"
        " are free here"
        for size, count in used.items()
        if destination.get(size, (0, 0))[1] < count
    ]
    return warned("; ".join(short)) if short else passed("as many are free as the source uses")


@CHECKS.pair(
    "kernel.memory.page",
    title="both kernels have pages of one size",
    why="QEMU refuses post-copy between hosts whose pages differ in size.",
    remedy="boot both with kernels of one page size: getconf PAGESIZE",
)
def page(pair: PairSubject) -> Result:
    sizes = [host.facts.of(KernelFacts).page_bytes for host in (pair.source, pair.destination)]
    if None in sizes:
        return skipped("one of them does not tell")
    saw = f"pages have {sizes[0]} and {sizes[1]} bytes"
    return failed(saw) if sizes[0] != sizes[1] else passed(saw)


@CHECKS.pair(
    "kernel.memory.nodes",
    title="the destination has the source's NUMA nodes",
    why="A guest that is bound to a node does not start where there is no such node.",
    remedy="unbind such guests: virsh numatune GUEST --nodeset 0",
)
def nodes(pair: PairSubject) -> Result:
    source = pair.source.facts.of(KernelFacts).nodes
    destination = pair.destination.facts.of(KernelFacts).nodes
    saw = f"{source} on the source, {destination} on the destination"
    return warned(saw) if destination < source else passed(saw)
