"""Whether, and when, a migration is ended by post-copy."""

from postcopy.nova.checks.catalogue import CHECKS, configured, left_off, said
from postcopy.nova.facts import NovaFacts
from postcopy.nova.overrides import (
    MOST_SECONDS_PER_GIB,
    SECONDS_PER_GIB,
    multifd_hurts,
    waits_too_long,
)
from postcopy.readiness import HostSubject, Result, failed, passed, skipped, warned

__all__: list[str] = []

_GIB = 1024**3
_MOST_DOWNTIME_MS = 1000
_EXAMPLE_GIB = 64


@CHECKS.host(
    "nova.postcopy.permitted",
    title="post-copy is permitted",
    why="Without it a busy guest's migration never ends, or ends with the guest standing still.",
    remedy="[libvirt] live_migration_permit_post_copy = true",
    fix="nova.switch",
    since="Nova 14 (Newton); the default is false",
)
def permitted(host: HostSubject) -> Result:
    facts = configured(host)
    saw = said(facts, "live_migration_permit_post_copy")
    return passed(saw) if _permitted(facts) else failed(saw)


@CHECKS.host(
    "nova.timeout.action",
    title="a migration that takes too long is ended, not given up",
    why="The default gives up after the time is over, so a host with busy guests never drains.",
    remedy="[libvirt] live_migration_timeout_action = force_complete",
    fix="nova.switch",
    since="Nova 19 (Stein); the default is abort",
)
def action(host: HostSubject) -> Result:
    facts = configured(host)
    if facts.release is not None and facts.release < 19:
        return skipped(f"Nova {facts.version} does not know live_migration_timeout_action")
    saw = said(facts, "live_migration_timeout_action")
    if facts.configuration.value("live_migration_timeout_action") != "force_complete":
        return warned(saw)
    if not _permitted(facts):
        return passed(f"{saw}; without post-copy that stops the guest until the rest is copied")
    return passed(saw)


@CHECKS.host(
    "nova.timeout.completion",
    title="pre-copy is ended in good time",
    why="Until then a busy guest's pages are sent over and over: 64 GiB at the default of 800 s a"
    " GiB are 14 hours.",
    remedy=f"[libvirt] live_migration_completion_timeout = {SECONDS_PER_GIB}",
    fix="nova.switch",
    since="Nova 15 (Ocata); the default is 800",
)
def completion(host: HostSubject) -> Result:
    facts = configured(host)
    seconds = facts.configuration.value("live_migration_completion_timeout")
    saw = said(facts, "live_migration_completion_timeout")
    if seconds == 0:
        return warned(f"{saw}: it is never ended")
    saw = f"{saw}: {_duration(facts, seconds)}"
    if waits_too_long(facts):
        return warned(f"{saw}; more than {MOST_SECONDS_PER_GIB} s a GiB gain nothing")
    return passed(saw)


def _duration(facts: NovaFacts, seconds: int) -> str:
    sizes = [(guest.memory_bytes or 0, guest.name) for guest in facts.guests or ()]
    size, name = max(sizes, default=(0, ""))
    # As Nova counts: whole GiB, two at least; disks that move too come on top.
    gib = max(2, size // _GIB) if size else _EXAMPLE_GIB
    whom = f"{name}, its largest guest" if size else f"a guest of {gib} GiB"
    return f"{seconds * gib / 3600:.1f} hours for {whom}" + (f" ({gib} GiB)" if size else "")


@CHECKS.host(
    "nova.downtime.short",
    title="pre-copy may stop the guest for a moment only",
    why="Pre-copy that may stop the guest for longer than post-copy would has no advantage left.",
    remedy="[libvirt] live_migration_downtime = 500",
    fix="nova.switch",
    since="the default is 500 ms; 100 at least since Nova 16 (Pike)",
)
def downtime(host: HostSubject) -> Result:
    facts = configured(host)
    saw = said(facts, "live_migration_downtime")
    if facts.configuration.value("live_migration_downtime") > _MOST_DOWNTIME_MS:
        return warned(f"{saw}: the guest may stand still for that long, in milliseconds")
    return passed(saw)


@CHECKS.host(
    "nova.auto-converge.off",
    title="auto-converge is not asked for beside post-copy",
    why="Nova leaves auto-converge off where post-copy is permitted, so the setting says what is"
    " not so.",
    remedy="[libvirt] live_migration_permit_auto_converge = false",
    fix="nova.switch",
    since="Nova 15 (Ocata)",
)
def auto_converge(host: HostSubject) -> Result:
    facts = configured(host)
    saw = said(facts, "live_migration_permit_auto_converge")
    if not facts.configuration.value("live_migration_permit_auto_converge"):
        return passed(saw)
    if _permitted(facts):
        return warned(f"{saw}: it has no effect")
    return warned(f"{saw}: it slows the guest down where post-copy would not")


@CHECKS.host(
    "nova.parallel.compatible",
    title="parallel connections do not meet post-copy before QEMU 10.1",
    why="Together they lose the guest on both hosts while success is reported; Nova does not start"
    " with both.",
    remedy="[libvirt] live_migration_parallel_connections = 1, or QEMU 10.1 or newer",
    fix="nova.switch",
    since="Nova 33 (2026.1); QEMU 10.1 lifts it",
)
def parallel(host: HostSubject) -> Result:
    facts = configured(host)
    saw = said(facts, "live_migration_parallel_connections")
    if facts.release is not None and facts.release < 33:
        return skipped(f"Nova {facts.version} does not know live_migration_parallel_connections")
    if facts.configuration.value("live_migration_parallel_connections") <= 1:
        return passed(saw)
    if facts.qemu is None:
        return skipped(f"{saw}, and QEMU's version is not known")
    version = ".".join(map(str, facts.qemu))
    return (
        failed(f"{saw}, QEMU {version}")
        if multifd_hurts(facts)
        else passed(f"{saw}, QEMU {version}")
    )


@CHECKS.host(
    "nova.bandwidth.unbounded",
    title="no limit is set that ends with pre-copy",
    why="live_migration_bandwidth bounds pre-copy alone: it makes post-copy more often needed, and"
    " does not bound it.",
    remedy="[libvirt] live_migration_bandwidth = 0, and shape the traffic of the migration network",
    since="libvirt has a limit of its own for post-copy, which Nova does not set",
)
def bandwidth(host: HostSubject) -> Result:
    return left_off(host, "live_migration_bandwidth")


@CHECKS.host(
    "nova.concurrency.bounded",
    title="few migrations leave the host at a time",
    why="Migrations share the link: each takes longer, and in post-copy is longer at risk.",
    remedy="[DEFAULT] max_concurrent_live_migrations = 1",
    fix="nova.service",
    since="the default is 1; 0 is deprecated since Nova 33 (2026.1)",
)
def concurrency(host: HostSubject) -> Result:
    facts = configured(host)
    count = facts.configuration.value("max_concurrent_live_migrations", "DEFAULT")
    saw = said(facts, "max_concurrent_live_migrations", "DEFAULT")
    return warned(f"{saw}: there is no bound") if count == 0 else passed(saw)


def _permitted(facts: NovaFacts) -> bool:
    return bool(facts.configuration.value("live_migration_permit_post_copy"))
