"""Checks of the way from one host to another: what both say, and what came of going it."""

from postcopy.libvirt.readiness.checks import certificate
from postcopy.libvirt.readiness.checks.catalogue import CHECKS, answering, version_text
from postcopy.libvirt.readiness.checks.network import blocked
from postcopy.libvirt.readiness.facts import is_loopback
from postcopy.libvirt.readiness.path import CpuVerdict, PathFacts
from postcopy.readiness import MissingFacts, PairSubject, Result, failed, passed, skipped, warned
from postcopy.units import format_bytes, format_seconds

__all__: list[str] = []

_SLOW_BYTES_PER_SECOND = 50e6
_UNUSABLE_BYTES_PER_SECOND = 1e6
_SLOW_ROUND_TRIP_SECONDS = 0.005


@CHECKS.pair(
    "libvirt.pair.uuid",
    title="both hosts have different UUIDs",
    why="libvirt takes two hosts of one UUID for the same host, and refuses to migrate.",
    remedy='put host_uuid = "$(uuidgen)" into libvirtd.conf on one of them, and restart it',
    fix="libvirt.daemon.uuid",
)
def uuid(pair: PairSubject) -> Result:
    here, there = answering(pair.source), answering(pair.destination)
    if not here.uuid or not there.uuid:
        return skipped("one of them has no UUID")
    if here.uuid == there.uuid:
        return failed(f"both are {here.uuid}")
    return passed(f"{here.uuid}, {there.uuid}")


@CHECKS.pair(
    "libvirt.pair.hostname",
    title="both hosts have different names",
    why="libvirt refuses to migrate to a host that goes by the source's own name.",
    remedy="hostnamectl set-hostname NAME, on one of them",
)
def hostname(pair: PairSubject) -> Result:
    here, there = answering(pair.source), answering(pair.destination)
    if here.hostname == there.hostname:
        return failed(f"both call themselves {here.hostname}")
    return passed(f"{here.hostname}, {there.hostname}")


@CHECKS.pair(
    "libvirt.pair.version",
    title="the destination's libvirt is not older than the source's",
    why="A newer libvirt may describe a guest in words that an older one does not understand.",
    remedy="upgrade libvirt on the destination first",
)
def version(pair: PairSubject) -> Result:
    here, there = answering(pair.source).version, answering(pair.destination).version
    if here is None or there is None:
        return skipped("one of their versions is not known")
    saw = f"libvirt {version_text(here)} to {version_text(there)}"
    return warned(saw) if there[:2] < here[:2] else passed(saw)


@CHECKS.pair(
    "libvirt.pair.virttype",
    title="the destination can run the same kind of guest",
    why="A guest that runs under KVM cannot go on where there is none.",
    remedy="make /dev/kvm work on the destination (virtualization in its firmware, kvm_intel or"
    " kvm_amd)",
)
def virttype(pair: PairSubject) -> Result:
    here, there = answering(pair.source).virttype, answering(pair.destination).virttype
    if not here or not there:
        return skipped("one of them did not say")
    if here == "kvm" and there != "kvm":
        return failed("the source has KVM and the destination has not")
    return passed(f"{here}, {there}")


@CHECKS.pair(
    "libvirt.pair.cpu",
    title="the destination has the CPU features of the source",
    why="A guest that was started with features that the destination lacks cannot arrive.",
    remedy="give guests a CPU model that both have: virsh hypervisor-cpu-baseline",
    since="libvirt 4.4.0",
    proof="path",
)
def cpu(pair: PairSubject) -> Result:
    path = _path(pair)
    match path.cpu:
        case CpuVerdict.SAME | CpuVerdict.LESS:
            return passed(f"what host-model means at the source is {path.cpu} of the destination")
        case CpuVerdict.MORE:
            return warned("guests with mode host-model do not fit: it lacks some of the features")
    return skipped(f"they could not be compared: {path.cpu_error or 'no answer'}")


@CHECKS.pair(
    "libvirt.pair.resolution",
    title="the source resolves the destination's name, and not to itself",
    why="The destination tells the source its name; a source that cannot resolve it gives up.",
    remedy="add it to DNS or to /etc/hosts on the source, or set migration_host on the destination",
    fix="libvirt.pair.names",
    proof="path",
)
def resolution(pair: PairSubject) -> Result:
    path = _path(pair)
    if path.target in path.unresolved:
        return failed(f"{path.target}: {path.unresolved[path.target]}")
    found = path.resolved.get(path.target, ())
    own = answering(pair.source).addresses
    wrong = [one for one in found if is_loopback(one) or one in own]
    if wrong:
        return failed(f"{path.target} is {', '.join(wrong)}, which is the source itself")
    return passed(f"{path.target} is {', '.join(found)}" if found else path.target)


@CHECKS.pair(
    "libvirt.pair.migration-ports",
    title="the source reaches the destination's migration ports",
    why="The guest's memory goes to one of them; behind a filter the migration never begins.",
    remedy="open TCP 49152 to 49215 on the destination, and on what lies between",
    fix="libvirt.firewall",
    proof="path",
)
def migration_ports(pair: PairSubject) -> Result:
    path, there = _resolved(pair), answering(pair.destination)
    if not path.ports:
        return skipped(f"the destination could not listen at one: {path.no_listener}")
    closed = {port: reach.error for port, reach in path.ports.items() if not reach.ok}
    if not closed:
        ports = " and ".join(map(str, sorted(path.ports)))
        return passed(f"connections to {path.target} at {ports} came through")
    if all(blocked(there.firewalls, port) for port in closed):
        return skipped("the destination's own filter is in the way: libvirt.firewall.migration")
    return failed("; ".join(f"{path.target}:{port}: {error}" for port, error in closed.items()))


@CHECKS.pair(
    "libvirt.pair.daemon-ports",
    title="the source reaches the destination's libvirt daemon",
    why="In a peer-to-peer migration the source's daemon calls the destination's.",
    remedy="open TCP 16509 (tcp) or 16514 (tls) on the destination, and on what lies between",
    fix="libvirt.firewall",
    proof="path",
)
def daemon_ports(pair: PairSubject) -> Result:
    path, there = _resolved(pair), answering(pair.destination)
    if not path.daemon:
        return skipped("the destination takes no connections by TCP or TLS")
    closed = {name: reach.error for name, reach in path.daemon.items() if not reach.ok}
    if not closed:
        return passed(f"{path.target} took connections by {' and '.join(path.daemon)}")
    if all(blocked(there.firewalls, there.daemon_ports.get(name, 0)) for name in closed):
        return skipped("the destination's own filter is in the way: libvirt.firewall.daemon")
    return failed("; ".join(f"{path.target} by {name}: {said}" for name, said in closed.items()))


@CHECKS.pair(
    "libvirt.pair.tls",
    title="source and destination's daemon shake hands over TLS",
    why="Each refuses a peer whose certificate it does not trust, when a guest is to move.",
    remedy="issue both hosts' certificates by one authority: postcopy setup SOURCE DESTINATION",
    fix="libvirt.tls.certificates",
    proof="path",
)
def tls(pair: PairSubject) -> Result:
    return _handshake(pair, "daemon", migrates=False)


@CHECKS.pair(
    "libvirt.pair.migration-tls",
    title="source and destination shake hands with QEMU's certificates",
    why="With --tls the guest's memory goes only to a peer whose certificate is trusted.",
    remedy="issue both hosts' certificates by one authority: postcopy setup SOURCE DESTINATION",
    fix="libvirt.migration-tls.certificates",
    proof="path",
)
def migration_tls(pair: PairSubject) -> Result:
    return _handshake(pair, "migration", migrates=True)


@CHECKS.pair(
    "libvirt.pair.bandwidth",
    title="the way is fast enough for memory",
    why="After the switch each page that the guest needs first has to come over this way.",
    remedy="put migration_host on a faster network; look for a link that fell back to 100 Mb/s",
    proof="path",
)
def bandwidth(pair: PairSubject) -> Result:
    rate = _resolved(pair).bytes_per_second
    if rate is None:
        return skipped("it was not measured")
    saw = f"{format_bytes(rate)}/s"
    if rate < _UNUSABLE_BYTES_PER_SECOND:
        return failed(saw)
    return warned(saw) if rate < _SLOW_BYTES_PER_SECOND else passed(saw)


@CHECKS.pair(
    "libvirt.pair.round-trip",
    title="a question takes little time there and back",
    why="A vCPU that waits for a page waits for at least one round trip.",
    remedy="migrate between hosts that are nearer to each other, or see what delays packets",
    proof="path",
)
def round_trip(pair: PairSubject) -> Result:
    seconds = _resolved(pair).round_trip_seconds
    if seconds is None:
        return skipped("it was not measured")
    saw = f"{seconds * 1e6:.0f} µs" if seconds < 0.001 else format_seconds(seconds)
    return warned(saw) if seconds > _SLOW_ROUND_TRIP_SECONDS else passed(saw)


@CHECKS.pair(
    "libvirt.pair.mtu",
    title="large packets come through, and both ends agree on how large",
    why="Where large packets vanish, a migration connects, begins, and then hangs.",
    remedy="ip link set DEVICE mtu N, the same on both hosts and on every switch between",
    proof="path",
)
def mtu(pair: PairSubject) -> Result:
    path = _resolved(pair)
    here, there = path.mtu
    if path.stalled:
        return failed(f"small messages arrive, large ones do not (MTU {here} and {there})")
    if not here or not there:
        return skipped("it is not known")
    if here != there:
        return warned(f"{here} at the source, {there} at the destination")
    return passed(f"{here} at both ends")


@CHECKS.pair(
    "libvirt.pair.memory",
    title="the destination has room for the source's guests",
    why="A destination that runs out of memory in post-copy kills the guest: it is whole nowhere.",
    remedy="free memory there, or move fewer guests to it",
)
def memory(pair: PairSubject) -> Result:
    here, there = answering(pair.source), answering(pair.destination)
    free = there.memory_available_bytes
    if free is None:
        return skipped("the destination does not say what is available")
    if not here.running:
        return skipped("no guest runs at the source")
    largest = max(here.running, key=lambda guest: guest.memory_bytes)
    total = sum(guest.memory_bytes for guest in here.running)
    saw = f"{format_bytes(free)} are available"
    if largest.memory_bytes > free:
        return warned(f"{saw}; {largest.name} alone may have {format_bytes(largest.memory_bytes)}")
    if total > free:
        return warned(f"{saw}; all {len(here.running)} guests may have {format_bytes(total)}")
    return passed(f"{saw}; all guests of the source may have {format_bytes(total)}")


def _path(pair: PairSubject) -> PathFacts:
    answering(pair.source)
    answering(pair.destination)
    return pair.facts.of(PathFacts)


def _resolved(pair: PairSubject) -> PathFacts:
    """Return what was found out about a way that could be gone at all."""
    path = _path(pair)
    if path.target in path.unresolved:
        raise MissingFacts(f"the source cannot resolve {path.target}: libvirt.pair.resolution")
    return path


def _handshake(pair: PairSubject, what: str, *, migrates: bool) -> Result:
    path = _resolved(pair)
    for host in (pair.destination, pair.source):
        wrong = list(certificate.faults(answering(host), migrates))
        if wrong:
            return skipped(f"the certificates of {host} are at fault: {', '.join(wrong)}")
    reach = path.tls.get(what)
    if reach is None:
        return skipped("one of them has no certificates for it, or it is not offered")
    if reach.ok:
        return passed(f"{path.target}: both certificates were accepted")
    there = answering(pair.destination)
    port = there.migration_ports[0] if migrates else there.daemon_ports.get("tls", 0)
    if blocked(there.firewalls, port):
        return skipped("the destination's own filter is in the way")
    return failed(f"{path.target}: {reach.error}")
