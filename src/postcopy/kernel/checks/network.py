"""What the kernel's network does to a migration: who notices a cut, and what a packet may hold."""

from postcopy.kernel.checks.catalogue import CHECKS
from postcopy.kernel.facts import KernelFacts, Link
from postcopy.readiness import HostSubject, PairSubject, Result, passed, skipped, warned
from postcopy.units import format_bytes, format_rate

_MOST_RETRIES = 8
_LEAST_BITS_PER_SECOND = 10**9
_BUSY_BYTES_PER_SECOND = 10**10 // 8
_ROUND_TRIP_SECONDS = 0.001


@CHECKS.host(
    "kernel.network.retries",
    title="a cut connection is given up in time",
    why="With the default of 15 retries a side of a cut post-copy waits a quarter of an hour before"
    " it notices, the guest stands still, and nobody can recover it meanwhile.",
    remedy="sysctl -w net.ipv4.tcp_retries2=5",
    fix="kernel.retries",
)
def retries(host: HostSubject) -> Result:
    facts = host.facts.of(KernelFacts)
    if facts.tcp_retries2 is None:
        return skipped("net.ipv4.tcp_retries2 is not known")
    saw = f"net.ipv4.tcp_retries2 is {facts.tcp_retries2}"
    return warned(saw) if facts.tcp_retries2 > _MOST_RETRIES else passed(saw)


@CHECKS.host(
    "kernel.network.buffers",
    title="TCP can fill a fast link",
    why="A connection sends no more in a round trip than its buffers hold, so small ones bound the"
    " migration's bandwidth.",
    remedy="sysctl -w net.ipv4.tcp_rmem='4096 131072 33554432' net.ipv4.tcp_wmem='4096 16384"
    " 33554432'",
)
def buffers(host: HostSubject) -> Result:
    facts = host.facts.of(KernelFacts)
    if facts.tcp_buffer_bytes is None:
        return skipped("net.ipv4.tcp_rmem and tcp_wmem are not known")
    saw = f"{format_bytes(facts.tcp_buffer_bytes)} of a connection may be on their way"
    needed = _BUSY_BYTES_PER_SECOND * _ROUND_TRIP_SECONDS
    return warned(saw) if facts.tcp_buffer_bytes < needed else passed(saw)


@CHECKS.pair(
    "kernel.network.mtu",
    title="both ends of the link between the hosts send packets of one size",
    why="Where they differ, small packets pass and a migration's large ones vanish.",
    remedy="ip link set LINK mtu 1500, on both hosts and on what is between them",
)
def mtu(pair: PairSubject) -> Result:
    ends = _ends(pair)
    if ends is None:
        return skipped("the hosts have no network in common, or `ip` is not installed")
    sizes = [(end.name, end.mtu) for end in ends]
    saw = f"{sizes[0][0]} has {sizes[0][1]} bytes, {sizes[1][0]} has {sizes[1][1]}"
    return warned(saw) if sizes[0][1] != sizes[1][1] else passed(saw)


@CHECKS.pair(
    "kernel.network.speed",
    title="the link between the hosts has 1 Gb/s or more",
    why="The guest runs slowly for as long as what is outstanding takes on the wire.",
    remedy="migrate over a faster network: migration_host in qemu.conf",
)
def speed(pair: PairSubject) -> Result:
    ends = _ends(pair)
    if ends is None:
        return skipped("the hosts have no network in common, or `ip` is not installed")
    known = [end for end in ends if end.bits_per_second]
    if not known:
        return skipped(f"{ends[0].name} and {ends[1].name} do not say how fast they are")
    slowest = min(known, key=lambda end: end.bits_per_second or 0)
    bits = slowest.bits_per_second or 0
    saw = f"{slowest.name} has {format_rate(bits / 8)}"
    return warned(saw) if bits < _LEAST_BITS_PER_SECOND else passed(saw)


def _ends(pair: PairSubject) -> tuple[Link, Link] | None:
    """Return the links by which the hosts see each other; of several, the fastest."""
    source = pair.source.facts.of(KernelFacts).links
    destination = pair.destination.facts.of(KernelFacts).links
    common = [(a, b) for a in source for b in destination if a.networks & b.networks]
    return max(common, key=lambda ends: ends[0].bits_per_second or 0, default=None)
