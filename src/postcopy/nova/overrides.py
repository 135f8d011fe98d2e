"""What options should be, where they are not: as data, for the fixes and for those who emit them.

Start with `wanted`. Each topic is mended on its own; the checks and the topics read the same rules,
so what a check finds fault with is what its fix sets right.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from postcopy.nova.facts import NovaFacts

__all__ = [
    "wanted",
    "Override",
    "TOPICS",
    "SECONDS_PER_GIB",
    "MOST_SECONDS_PER_GIB",
    "LEAST_AUDIT_SECONDS",
    "MULTIFD_QEMU",
    "address_is_wrong",
    "audits_often",
    "candidate",
    "knows",
    "multifd_hurts",
    "transport",
    "waits_too_long",
]

SECONDS_PER_GIB = 15
"""How long pre-copy may take before post-copy ends it. A pass over 1 Gb/s takes 9 seconds a GiB, so
each guest has one, and most have two. An operator published 107 of 107 migrations with it."""

MOST_SECONDS_PER_GIB = 60
"""More than this is patience without a purpose: six passes at 1 Gb/s."""

LEAST_AUDIT_SECONDS = 300
"""An audit of the host's devices stops all of nova-compute: 20 to 65 seconds were measured."""

_AUDIT_SECONDS = 600
_DOWNTIME_MS = 500
MULTIFD_QEMU = (10, 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One option, and what it should be.

    :ivar value: as it is written in nova.conf; None takes the option out.
    :ivar why: in a few words.
    """

    option: str
    value: str | None
    why: str
    section: str = "libvirt"


def wanted(facts: NovaFacts, topic: str = "") -> tuple[Override, ...]:
    """Return what should be set on a host, and is not.

    :param topic: one of `TOPICS`; all of them without it.
    """
    topics = [topic] if topic else list(TOPICS)
    return tuple(override for name in topics for override in TOPICS[name](facts))


def waits_too_long(facts: NovaFacts) -> bool:
    """Return whether pre-copy may go on for longer than is of use, or without end."""
    seconds = facts.configuration.value("live_migration_completion_timeout")
    return bool(seconds == 0 or seconds > MOST_SECONDS_PER_GIB)


def multifd_hurts(facts: NovaFacts) -> bool:
    """Return whether parallel connections are set that lose a guest in post-copy."""
    several = facts.configuration.value("live_migration_parallel_connections") > 1
    old = facts.qemu is not None and facts.qemu < MULTIFD_QEMU
    return several and old and knows(facts, 33)


def audits_often(facts: NovaFacts) -> bool:
    """Return whether the periodic audit is likely to fall into a migration."""
    seconds = facts.configuration.value("update_resources_interval", "DEFAULT")
    return bool(0 <= seconds < LEAST_AUDIT_SECONDS)


def knows(facts: NovaFacts, release: int) -> bool:
    """Return whether this Nova is of that release or newer; an unknown one is taken to be new."""
    return facts.release is None or facts.release >= release


def candidate(facts: NovaFacts) -> str:
    """Return the one address that others can reach this host at; empty where there are several."""
    found = {
        str(one.ip)
        for one in facts.addresses
        if not (one.ip.is_loopback or one.ip.is_link_local or one.ip.is_unspecified)
    }
    return found.pop() if len(found) == 1 else ""


def address_is_wrong(facts: NovaFacts) -> bool:
    """Return whether others are told an address at which this host cannot be reached."""
    value, meant = facts.address()
    own = {one.ip for one in facts.addresses}
    if not value or not own:
        return not value
    return not meant or any(ip.is_loopback or ip.is_unspecified or ip not in own for ip in meant)


def _postcopy(facts: NovaFacts) -> Iterator[Override]:
    value = facts.configuration.value
    if not value("live_migration_permit_post_copy"):
        yield Override(
            option="live_migration_permit_post_copy", value="true", why="post-copy is permitted"
        )
    if knows(facts, 19) and value("live_migration_timeout_action") != "force_complete":
        yield Override(
            option="live_migration_timeout_action",
            value="force_complete",
            why="a migration that takes too long is ended by post-copy, not given up",
        )
    if waits_too_long(facts):
        yield Override(
            option="live_migration_completion_timeout",
            value=str(SECONDS_PER_GIB),
            why="seconds for each GiB until post-copy ends the migration",
        )
    if value("live_migration_permit_auto_converge"):
        yield Override(
            option="live_migration_permit_auto_converge",
            value="false",
            why="it has no effect where post-copy is permitted",
        )
    if multifd_hurts(facts):
        yield Override(
            option="live_migration_parallel_connections",
            value="1",
            why="parallel connections and post-copy lose the guest before QEMU 10.1",
        )
    if value("live_migration_downtime") > 2 * _DOWNTIME_MS:
        yield Override(
            option="live_migration_downtime",
            value=str(_DOWNTIME_MS),
            why="milliseconds that the guest may stand still; post-copy needs fewer",
        )


def _address(facts: NovaFacts) -> Iterator[Override]:
    uri, scheme = (facts.configuration.value(f"live_migration_{n}") for n in ("uri", "scheme"))
    if uri:
        yield Override(
            option="live_migration_uri",
            value=None,
            why="replaced by live_migration_scheme and live_migration_inbound_addr",
        )
        was = transport(uri)
        if not scheme and was in ("tls", "ssh"):
            yield Override(
                option="live_migration_scheme", value=was, why="as live_migration_uri had it"
            )
    if address_is_wrong(facts) and (address := candidate(facts)):
        yield Override(
            option="live_migration_inbound_addr",
            value=address,
            why="the address of this host that migrations come in at",
        )


def _leftovers(facts: NovaFacts) -> Iterator[Override]:
    for option in ("live_migration_flag", "block_migration_flag"):
        if facts.configuration.all(option) and knows(facts, 15):
            yield Override(option=option, value=None, why="Nova has ignored it since release 15")


def _service(facts: NovaFacts) -> Iterator[Override]:
    value = facts.configuration.value
    if audits_often(facts):
        yield Override(
            section="DEFAULT",
            option="update_resources_interval",
            value=str(_AUDIT_SECONDS),
            why="seconds between audits of the host, which stop nova-compute in mid-migration",
        )
    if value("max_concurrent_live_migrations", "DEFAULT") == 0:
        yield Override(
            section="DEFAULT",
            option="max_concurrent_live_migrations",
            value="1",
            why="one after another, each is over sooner",
        )
    if not value("handle_virt_lifecycle_events", "workarounds"):
        yield Override(
            section="workarounds",
            option="handle_virt_lifecycle_events",
            value="true",
            why="Nova learns of the switch to post-copy by such an event",
        )
    if value("skip_hypervisor_version_check_on_lm", "workarounds"):
        yield Override(
            section="workarounds",
            option="skip_hypervisor_version_check_on_lm",
            value="false",
            why="a guest that moves to an older hypervisor may not come up there",
        )


def transport(uri: str) -> str:
    """Return what comes after the plus sign in the scheme of a libvirt URI: ``tcp``, ``tls``."""
    try:
        scheme = urlsplit(uri.replace("%s", "host")).scheme
    except ValueError:
        return ""
    return scheme.partition("+")[2]


TOPICS: Mapping[str, Callable[[NovaFacts], Iterator[Override]]] = {
    "nova.switch": _postcopy,
    "nova.address": _address,
    "nova.leftovers": _leftovers,
    "nova.service": _service,
}
"""What is mended together; each is the id of a fix."""
