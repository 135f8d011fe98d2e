"""Checks of a guest that may go from one host to another: its state, its devices, its name."""

from postcopy import known_issues
from postcopy.libvirt.readiness.checks.catalogue import CHECKS, answering, version_text
from postcopy.libvirt.readiness.guest import ArrivalFacts, GuestFacts
from postcopy.libvirt.readiness.path import CpuVerdict
from postcopy.readiness import (
    GuestSubject,
    MissingFacts,
    Result,
    failed,
    passed,
    skipped,
    warned,
)

__all__ = ["guest_of"]

_SHARED = {"nfs", "ceph", "cifs", "smb2", "gfs/gfs2", "ocfs2", "gpfs", "lustre", "fuseblk", "fuse"}
"""File systems that several hosts may have in common, by ``stat``'s names; `fuse` is Gluster's."""
_UNCACHED = ("none", "directsync")


def guest_of(guest: GuestSubject) -> GuestFacts:
    """Return what is so of a guest that is there.

    :raises MissingFacts: where it is not, which one check says and no other needs to repeat.
    """
    facts = guest.facts.of(GuestFacts)
    if facts.error:
        raise MissingFacts(f"nothing is known of the guest: {facts.error}")
    return facts


@CHECKS.guest(
    "libvirt.guest.running",
    title="the guest runs at the source",
    why="Only a running guest needs a live migration; one in post-copy must be left in peace.",
    remedy="virsh domstate --reason GUEST; virsh resume GUEST",
)
def running(guest: GuestSubject) -> Result:
    facts = guest.facts.of(GuestFacts)
    if facts.error:
        return failed(facts.error, "virsh list --all, on the source")
    if "post-copy" in facts.reason:
        return failed(
            f"{facts.state} ({facts.reason})", f"postcopy recover {facts.name}; never start it anew"
        )
    saw = f"{facts.state} ({facts.reason})" if facts.reason else facts.state or "unknown"
    return passed(saw) if facts.state == "running" else failed(saw)


@CHECKS.guest(
    "libvirt.guest.job",
    title="nothing else is being done with the guest",
    why="libvirt does one thing at a time with a guest: a migration waits, and then fails.",
    remedy="wait for it, or: virsh domjobabort GUEST",
)
def job(guest: GuestSubject) -> Result:
    found = guest_of(guest).job
    return failed(f"a job is under way ({found})") if found else passed("no job is under way")


@CHECKS.guest(
    "libvirt.guest.blocked",
    title="QEMU itself has nothing against a migration",
    why="QEMU knows of devices and states that cannot move, and refuses.",
    remedy="detach what it names for the move",
    since="QEMU 6.0",
)
def blocked(guest: GuestSubject) -> Result:
    found = guest_of(guest).blocked
    if found is None:
        return skipped("QEMU did not answer query-migrate")
    return failed("; ".join(found)) if found else passed("query-migrate names no blocker")


@CHECKS.guest(
    "libvirt.guest.host-devices",
    title="no device of the host is handed to the guest",
    why="VFIO pins the guest's memory, so that no page of it can be missing.",
    remedy="detach them for the move, or use --policy precopy where the device allows it",
)
def host_devices(guest: GuestSubject) -> Result:
    found = guest_of(guest).host_devices
    return failed(", ".join(found)) if found else passed("it has none")


@CHECKS.guest(
    "libvirt.guest.vhost-user",
    title="no device is served by another process",
    why="That process touches the guest's memory by itself and must understand missing pages; few"
    " do, and some hang.",
    remedy="for Open vSwitch: ovs-vsctl set Open_vSwitch ."
    " other_config:vhost-postcopy-support=true",
    since="DPDK 18.11 and QEMU 2.12",
)
def vhost_user(guest: GuestSubject) -> Result:
    found = guest_of(guest).vhost_user
    return warned(f"vhost-user: {', '.join(found)}") if found else passed("it has none")


@CHECKS.guest(
    "libvirt.guest.filesystems",
    title="it shares no directory with its host",
    why="virtiofsd does not understand missing pages, so QEMU refuses post-copy; 9p cannot move.",
    remedy="unmount and detach it for the move, or use --policy precopy with virtiofs",
    since="pre-copy moves virtiofs where virtiofsd has the feature migrate-precopy",
)
def filesystems(guest: GuestSubject) -> Result:
    found = guest_of(guest).filesystems
    return failed(", ".join(found)) if found else passed("it has no filesystem device")


@CHECKS.guest(
    "libvirt.guest.cpu",
    title="the destination can give the guest the CPU that it has",
    why="A guest cannot go on without features that it has seen.",
    remedy="use a CPU model that both hosts have: virsh hypervisor-cpu-baseline",
    since="libvirt 4.4.0",
)
def cpu(guest: GuestSubject) -> Result:
    facts, arrival = guest_of(guest), guest.facts.of(ArrivalFacts)
    if facts.cpu_mode in ("host-passthrough", "maximum"):
        return skipped(f"its mode is {facts.cpu_mode}: see libvirt.guest.cpu-mode")
    match arrival.cpu:
        case CpuVerdict.SAME | CpuVerdict.LESS:
            return passed(f"its CPU is {arrival.cpu} of the destination")
        case CpuVerdict.MORE:
            return failed("the destination lacks features of its CPU")
    return skipped(f"they could not be compared: {arrival.cpu_error or 'no answer'}")


@CHECKS.guest(
    "libvirt.guest.cpu-mode",
    title="its CPU is described, and not just the host's own",
    why="With host-passthrough nothing compares the two CPUs; a guest that moves to a lesser one"
    " crashes there.",
    remedy="use host-model, or a model by name, and start the guest anew",
)
def cpu_mode(guest: GuestSubject) -> Result:
    facts = guest_of(guest)
    if facts.cpu_mode not in ("host-passthrough", "maximum"):
        return passed(facts.cpu_mode)
    here, there = answering(guest.pair.source), answering(guest.pair.destination)
    if facts.emulated:
        same = here.qemu_version == there.qemu_version
        return passed("emulated, by the same QEMU") if same else warned(f"{facts.cpu_mode}, by two")
    if here.cpu and here.cpu == there.cpu:
        return passed(f"{facts.cpu_mode}, and both hosts have the same CPU")
    return failed(f"{facts.cpu_mode}, and the hosts' CPUs differ")


@CHECKS.guest(
    "libvirt.guest.machine",
    title="the destination's QEMU knows its machine type",
    why="A machine that QEMU does not know cannot be made there.",
    remedy="install the same or a newer QEMU at the destination",
)
def machine(guest: GuestSubject) -> Result:
    wanted = guest_of(guest).machine
    known = answering(guest.pair.destination).machines
    if not known or not wanted:
        return skipped("the destination does not list its machine types")
    names = {name for one in known for name in (one.name, one.canonical)}
    return passed(wanted) if wanted in names else failed(f"{wanted} is not known there")


@CHECKS.guest(
    "libvirt.guest.disks",
    title="its disks are where the destination finds them",
    why="Only memory and state move by themselves; a disk is shared, or must be copied along.",
    remedy="put them on shared storage, or: postcopy migrate --copy-storage-all",
)
def disks(guest: GuestSubject) -> Result:
    facts = guest_of(guest)
    local = [
        disk for disk in facts.disks
        if disk.source and disk.kind in ("file", "block") and not _is_shared(disk.filesystem)
    ]  # fmt: skip
    if not local:
        return passed("each is on the network, or on storage that hosts can share")
    arrival = guest.facts.of(ArrivalFacts)
    absent = [disk.source for disk in local if disk.source not in arrival.files]
    if absent and facts.by_nova:
        return passed(f"Nova copies along what is not there: {', '.join(absent)}")
    if absent:
        return failed(f"not at the destination: {', '.join(absent)}")
    paths = ", ".join(disk.source for disk in local)
    if all(disk.readonly for disk in local):
        return passed(f"read-only, and at the destination too: {paths}")
    return warned(f"at the destination too, on storage that is not known to be shared: {paths}")


@CHECKS.guest(
    "libvirt.guest.disk-cache",
    title="no disk's content lingers in a host's cache",
    why="What the source has cached the destination does not see; libvirt calls that unsafe.",
    remedy="set cache='none' for the disk, and start the guest anew",
)
def disk_cache(guest: GuestSubject) -> Result:
    cached = [
        f"{disk.target} ({disk.cache or 'default'})"
        for disk in guest_of(guest).disks
        if disk.source and not disk.readonly and disk.cache not in _UNCACHED
        and disk.kind in ("file", "block") and not _is_coherent(disk.filesystem)
    ]  # fmt: skip
    return warned(", ".join(cached)) if cached else passed("none is cached where that matters")


@CHECKS.guest(
    "libvirt.guest.tpm",
    title="its TPM can move",
    why="An emulated TPM moves with the guest where there is swtpm; the host's own does not.",
    remedy="install swtpm at the destination; use an emulated TPM",
)
def tpm(guest: GuestSubject) -> Result:
    kind = guest_of(guest).tpm
    if not kind:
        return passed("it has none")
    if kind != "emulator":
        return failed(f"its TPM is of type {kind}")
    if not guest.facts.of(ArrivalFacts).swtpm:
        return failed("it is emulated, and the destination has no swtpm")
    return passed("emulated, and the destination has swtpm")


@CHECKS.guest(
    "libvirt.guest.snapshots",
    title="it has no snapshots and no checkpoints",
    why="libvirt refuses to move a guest with snapshots: their records would stay behind.",
    remedy="virsh snapshot-delete GUEST --metadata SNAPSHOT",
)
def snapshots(guest: GuestSubject) -> Result:
    found = guest_of(guest).snapshots
    return failed(f"{len(found)}: {', '.join(found[:5])}") if found else passed("it has none")


@CHECKS.guest(
    "libvirt.guest.name",
    title="the destination has no other guest of that name, nor this one running",
    why="Two running copies of one guest destroy its disks.",
    remedy="look at both guests; then virsh undefine, or move it under another name (--dname)",
)
def name(guest: GuestSubject) -> Result:
    facts, there = guest_of(guest), answering(guest.pair.destination)
    if any(facts.uuid and one.name == facts.name for one in there.running):
        return failed(f"a guest {facts.name} runs there already")
    for uuid, other in there.domains.items():
        if other == facts.name and uuid != facts.uuid:
            return failed(f"another guest there is called {other} ({uuid})")
        if uuid == facts.uuid and other != facts.name:
            return failed(f"the same guest is called {other} there")
    if facts.uuid in there.domains:
        return passed("it is defined there too, and shut off")
    return passed(f"nobody there is called {facts.name}")


@CHECKS.guest(
    "libvirt.guest.emulated",
    title="if it is emulated, then by a QEMU that moves it whole",
    why="Before QEMU 9.0 pages that an emulated guest had just written could be left behind.",
    remedy="upgrade QEMU at both hosts, or move it shut down",
    since="QEMU 9.0",
)
def emulated(guest: GuestSubject) -> Result:
    if not guest_of(guest).emulated:
        return skipped("it runs under KVM")
    versions = [
        answering(host).qemu_version for host in (guest.pair.source, guest.pair.destination)
    ]
    known = [version for version in versions if version is not None]
    issue = known_issues.issue("tcg-memory-corruption")
    if any(issue.affects(version, "tcg") for version in known):
        return failed(f"QEMU {version_text(min(known))}: {issue.what}")
    return passed(f"by QEMU {' and '.join(sorted(set(map(version_text, known))))}")


def _is_shared(filesystem: str) -> bool:
    return any(filesystem.lower().startswith(one) for one in _SHARED)


def _is_coherent(filesystem: str) -> bool:
    return any(filesystem.lower().startswith(one) for one in ("ceph", "gfs", "ocfs2", "gpfs"))
