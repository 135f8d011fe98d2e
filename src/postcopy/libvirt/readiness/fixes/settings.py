"""Settings of libvirt's daemons and of QEMU under them, changed in place."""

import uuid
from collections.abc import Callable, Mapping, Sequence

from postcopy.libvirt.readiness.edit import Value, set_values
from postcopy.libvirt.readiness.facts import USERFAULTFD, LibvirtFacts, is_loopback
from postcopy.readiness import (
    Change,
    Command,
    FileChange,
    Files,
    Fix,
    HostSubject,
    MissingFacts,
    Restart,
)

__all__ = ["DAEMON_CONFS", "FIXES", "QEMU_CONF", "edit", "own_address", "restart"]

QEMU_CONF = "/etc/libvirt/qemu.conf"
DAEMON_CONFS = ("/etc/libvirt/libvirtd.conf", "/etc/libvirt/virtqemud.conf")
"""The monolithic daemon's, and that of the modular one that runs QEMU."""


def edit(host: HostSubject, path: str, wanted: Mapping[str, Value], why: str) -> Sequence[Change]:
    """Return the change of a file's settings and the restart that it takes.

    :raises MissingFacts: when the file holds lines that make no sense: a person must look.
    """
    facts = host.facts.of(LibvirtFacts)
    for broken, lines in facts.broken_files:
        if broken == path:
            raise MissingFacts(f"{path}: line {lines[0]} makes no sense: correct it first")
    before = host.facts.of(Files).text(path)
    after = set_values(before or "", wanted)
    if after == (before or ""):
        return ()
    return (
        FileChange(path=path, before=before, after=after, why=why, mode=0o644),
        restart(facts, f"it reads {path.rsplit('/', 1)[-1]} when it starts"),
    )


def restart(facts: LibvirtFacts, why: str) -> Restart:
    """Return the restart of the daemon that runs QEMU."""
    return Restart(service="virtqemud.service" if facts.modular else "libvirtd.service", why=why)


def own_address(facts: LibvirtFacts) -> str:
    """Return the address that others reach a host at.

    :raises MissingFacts: when it has several and nobody has said which.
    """
    for said in (facts.qemu.text("migration_address"), facts.qemu.text("migration_host")):
        if said in facts.addresses:
            return said
    found = [one for one in facts.addresses if not one.startswith("fe80")]
    if len(found) != 1:
        raise MissingFacts(
            f"it has the addresses {', '.join(found) or '(none)'}: put the one for migrations into"
            f" {QEMU_CONF}, as migration_host"
        )
    return found[0]


def _daemon_conf(facts: LibvirtFacts) -> str:
    return DAEMON_CONFS[1 if facts.modular else 0]


def _setting(
    id_: str, title: str, why: str, wanted: Callable[[LibvirtFacts], Mapping[str, Value]]
) -> Fix:
    """Return a fix of settings of ``qemu.conf``."""

    def plan(host: HostSubject) -> Sequence[Change]:
        return edit(host, QEMU_CONF, wanted(host.facts.of(LibvirtFacts)), why)

    return Fix(id=id_, title=title, plan=plan, reads=(QEMU_CONF,))


def _daemon_setting(
    id_: str, title: str, why: str, wanted: Callable[[HostSubject], Mapping[str, Value]]
) -> Fix:
    """Return a fix of settings of the daemon's own file."""

    def plan(host: HostSubject) -> Sequence[Change]:
        return edit(host, _daemon_conf(host.facts.of(LibvirtFacts)), wanted(host), why)

    return Fix(id=id_, title=title, plan=plan, reads=DAEMON_CONFS)


_NAMESPACE = uuid.UUID("3c9b4e0a-4a53-4f0e-9a55-2f4f3b6b7d11")


def _new_uuid(host: HostSubject) -> Mapping[str, Value]:
    """Make a UUID that is the host's own, and the same whenever it is asked for again."""
    facts = host.facts.of(LibvirtFacts)
    seed = "/".join((host.name, facts.hostname, facts.uuid, *sorted(facts.addresses)))
    return {"host_uuid": str(uuid.uuid5(_NAMESPACE, seed))}


def _account(facts: LibvirtFacts) -> Mapping[str, Value]:
    account = facts.account
    wanted: dict[str, Value] = {}
    if account.uid is None:
        wanted["user"] = None
    if account.gid is None:
        wanted["group"] = None
    return wanted


def _devices(facts: LibvirtFacts) -> Mapping[str, Value]:
    listed = facts.qemu.words("cgroup_device_acl")
    if listed is None or USERFAULTFD in listed:
        return {}  # libvirt's own list has it, since it can grant it; before, a sysctl is the way
    return {"cgroup_device_acl": (*listed, USERFAULTFD)}


def _address(facts: LibvirtFacts) -> Mapping[str, Value]:
    """Take the address out: QEMU listens at every address then, as is libvirt's default."""
    said = facts.qemu.text("migration_address")
    if is_loopback(said) or said not in facts.addresses:
        return {"migration_address": None}
    return {}


def _host(facts: LibvirtFacts) -> Mapping[str, Value]:
    try:
        return {"migration_host": own_address(facts)}
    except MissingFacts:
        if facts.hostname.split(".")[0] in ("localhost", ""):
            raise
        return {"migration_host": None}


def _daemon(host: HostSubject) -> Sequence[Change]:
    facts = host.facts.of(LibvirtFacts)
    if not facts.installed:
        raise MissingFacts("libvirt is not installed: apt install libvirt-daemon-system")
    if facts.broken_files:
        path, lines = facts.broken_files[0]
        raise MissingFacts(f"{path}: line {lines[0]} makes no sense: correct it first")
    return (restart(facts, f"it does not answer: {facts.error}"),)


def _socket(name: str) -> Fix:
    def plan(_host: HostSubject) -> Sequence[Change]:
        unit = f"{name}.socket"
        return (
            Command(
                argv=("systemctl", "enable", "--now", unit),
                why=f"libvirt is told to use {name}",
                undo=("systemctl", "disable", "--now", unit),
            ),
        )

    return Fix(id=f"libvirt.daemon.{name}", title=f"{name} is there", plan=plan)


FIXES = (
    Fix(id="libvirt.daemon", title="the daemon runs", plan=_daemon, order=90),
    _daemon_setting(
        "libvirt.daemon.uuid",
        "the host has a UUID of its own",
        "libvirt tells hosts apart by it, and another one has the same",
        _new_uuid,
    ),
    _daemon_setting(
        "libvirt.daemon.requests",
        "a connection may have several calls under way",
        "one call waits for the migration, and others watch it",
        lambda _: {"max_client_requests": None},
    ),
    _setting(
        "libvirt.daemon.keepalive",
        "a peer that is gone is noticed, and one that is slow is not given up",
        "a dead peer is noticed after 30 s, a slow one is not given up",
        lambda _: {"keepalive_interval": None, "keepalive_count": None},
    ),
    _socket("virtlogd"),
    _socket("virtlockd"),
    _setting(
        "libvirt.qemu.user",
        "QEMU runs as a user that exists",
        "there is no such user or group; libvirt's own default is",
        _account,
    ),
    _setting(
        "libvirt.qemu.devices",
        f"QEMU may open {USERFAULTFD}",
        "post-copy waits for pages with it",
        _devices,
    ),
    _setting(
        "libvirt.qemu.seccomp",
        "QEMU's sandbox of system calls is on",
        "post-copy works within it, and it guards the host",
        lambda _: {"seccomp_sandbox": None},
    ),
    _setting(
        "libvirt.migration.address",
        "incoming migrations are awaited where others can come",
        "nobody else reaches the address that was set",
        _address,
    ),
    _setting(
        "libvirt.migration.host",
        "sources are told where this host is",
        "the destination tells the source where to send the guest's memory",
        _host,
    ),
    _setting(
        "libvirt.migration.ports",
        "there are ports for several migrations",
        "each incoming guest takes a port or two; libvirt's default has 64",
        lambda _: {"migration_port_min": None, "migration_port_max": None},
    ),
)
