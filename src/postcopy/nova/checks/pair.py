"""Two compute hosts: whether they mean the same, and whether one finds the other."""

from postcopy.nova.checks.catalogue import CHECKS, compute, configured, release_name
from postcopy.nova.facts import NovaFacts
from postcopy.readiness import PairSubject, Result, failed, passed, skipped, warned

__all__: list[str] = []

_MUST = ("virt_type", "live_migration_with_native_tls", "live_migration_tunnelled")
_SHOULD = (
    "live_migration_permit_post_copy", "live_migration_timeout_action",
    "live_migration_completion_timeout", "live_migration_scheme", "live_migration_uri",
    "live_migration_parallel_connections", "cpu_mode", "cpu_models",
)  # fmt: skip

_SLURP = 27
"""The first release that may be skipped over: from it on every second one."""


def _both(pair: PairSubject) -> tuple[NovaFacts, NovaFacts]:
    return configured(pair.source), configured(pair.destination)


@CHECKS.pair(
    "nova.pair.settings",
    title="both hosts migrate in the same way",
    why="The source's settings count, so a guest that moved here by post-copy may not get away"
    " again.",
    remedy="give both the same [libvirt] settings",
)
def settings(pair: PairSubject) -> Result:
    source, destination = _both(pair)

    def differing(names: tuple[str, ...]) -> list[str]:
        pairs = [
            (name, source.configuration.value(name), destination.configuration.value(name))
            for name in names
        ]
        return [f"{name}: {a} and {b}" for name, a, b in pairs if a != b]

    if wrong := differing(_MUST):
        return failed("; ".join([*wrong, *differing(_SHOULD)]))
    if different := differing(_SHOULD):
        return warned("; ".join(different))
    return passed("what matters to live migration is the same")


@CHECKS.pair(
    "nova.pair.releases",
    title="both hosts run releases of Nova that may meet",
    why="Nova supports neighbouring releases, and since 2023.1 each .1 with the next .1; others do"
    " not understand each other's messages.",
    remedy="upgrade the older host",
    since="Nova 27 (2023.1)",
)
def releases(pair: PairSubject) -> Result:
    source, destination = compute(pair.source).release, compute(pair.destination).release
    if source is None or destination is None:
        return skipped("the version of Nova of one of them is not known")
    saw = f"{release_name(source)} and {release_name(destination)}"
    apart, older = abs(source - destination), min(source, destination)
    if apart == 0:
        return passed(saw)
    if apart == 1 or (apart == 2 and older >= _SLURP and (older - _SLURP) % 2 == 0):
        return warned(f"{saw}: meant for the time of an upgrade")
    return failed(saw)


@CHECKS.pair(
    "nova.pair.address",
    title="the hosts are told apart by their addresses",
    why="A nova.conf that was copied sends guests to the host that it came from.",
    remedy="[libvirt] live_migration_inbound_addr = each host's own address",
    fix="nova.address",
)
def address(pair: PairSubject) -> Result:
    source, destination = _both(pair)
    (name, ours), (other, theirs) = source.address(), destination.address()
    if not name or not other:
        return skipped("live_migration_inbound_addr is not set on both")
    if set(ours) & set(theirs) or name == other:
        return failed(f"both are reached at {other}")
    return passed(f"{name} and {other}")


@CHECKS.pair(
    "nova.pair.network",
    title="the source has an interface in the destination's migration network",
    why="Otherwise the guest's memory goes through a router, or takes the management network.",
    remedy="set live_migration_inbound_addr on both to addresses of one network",
)
def network(pair: PairSubject) -> Result:
    source, destination = _both(pair)
    name, theirs = destination.address()
    if not name or not theirs:
        return skipped("the destination's live_migration_inbound_addr is not known")
    if not source.addresses:
        return skipped("the source's addresses are not known")
    nets = [one.network for one in source.addresses if not one.ip.is_loopback]
    if any(ip in net for ip in theirs for net in nets):
        return passed(f"{name} is in a network of the source")
    return warned(f"{name} is in none of the source's networks: {', '.join(map(str, nets))}")


@CHECKS.pair(
    "nova.pair.host",
    title="the hosts have different names in Nova",
    why="Two nova-computes of one name take each other's guests for their own.",
    remedy="[DEFAULT] host = each host's own name, or take it out",
)
def host(pair: PairSubject) -> Result:
    source, destination = _both(pair)
    ours, theirs = (f.configuration.value("host", "DEFAULT") for f in (source, destination))
    if not ours or not theirs:
        return skipped("the name of one of them is not known")
    if ours == theirs:
        return failed(f"both are {ours}")
    return passed(f"{ours} and {theirs}")
