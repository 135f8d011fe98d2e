"""What must be so before a domain is moved: each guard says why, and what lifts it."""

import asyncio
import xml.etree.ElementTree as ET
from dataclasses import dataclass

import libvirt

from postcopy import known_issues
from postcopy.errors import RefusedError, UsageError
from postcopy.libvirt.connection import Connection, Version
from postcopy.libvirt.look import has_job
from postcopy.libvirt.options import LibvirtOptions

__all__ = ["DomainFacts", "check", "facts_of_domain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainFacts:
    """What the guards ask of a domain."""

    name: str
    uuid: str
    persistent: bool
    running: bool
    paused: bool
    job: bool
    """Whether a job (a migration, a dump, ...) is under way."""
    vfio: tuple[str, ...]
    """Host devices that are handed to it."""
    emulated: bool
    """Whether it runs under TCG."""
    disks: tuple[str, ...] = ()
    """Targets of the disks that can be copied: those that hold something and are written to."""


async def facts_of_domain(connection: Connection, domain: libvirt.virDomain) -> DomainFacts:
    """Ask libvirt for what the guards need."""

    def ask() -> DomainFacts:
        state, _ = domain.state()
        tree = ET.fromstring(domain.XMLDesc(0))
        return DomainFacts(
            name=domain.name(),
            uuid=domain.UUIDString(),
            persistent=bool(domain.isPersistent()),
            running=state == libvirt.VIR_DOMAIN_RUNNING,
            paused=state == libvirt.VIR_DOMAIN_PAUSED,
            job=has_job(domain),
            vfio=_host_devices(tree),
            emulated=tree.get("type") == "qemu",
            disks=_disks(tree),
        )

    return await connection.call(ask)


async def check(
    source: Connection, destination: Connection, facts: DomainFacts, options: LibvirtOptions
) -> None:
    """Refuse what cannot work, or could lose the guest.

    :raises RefusedError: with the reason, and the version that lifts it where one does.
    :raises UsageError: when both ends are the same host.
    """
    _check_domain(facts, options)
    _check_disks(facts, options)
    ids = await asyncio.gather(source.host_uuid(), destination.host_uuid())
    if ids[0] == ids[1]:
        name = await source.host_name()
        raise UsageError(
            f"{source.uri} and {destination.uri} are the same host, {name}",
            hint="name another destination; if they are different machines, their host UUIDs"
            " clash: set host_uuid in libvirtd.conf on one of them",
        )
    versions = await asyncio.gather(source.versions(), destination.versions())
    _check_versions([qemu for _, qemu in versions], options)
    there = await destination.find(facts.uuid)
    if there is not None and await destination.call(there.isActive):
        raise RefusedError(
            f"domain {facts.name!r} already runs at {destination.uri}",
            hint="two running copies would destroy its disks: look at both before anything else",
        )
    name = options.dname or facts.name
    namesakes = await destination.call(destination.handle.listAllDomains)
    for other in namesakes:
        if other.name() == name and other.UUIDString() != facts.uuid:
            raise RefusedError(
                f"{destination.uri} has another domain that is called {name!r}",
                hint="give it another name there: --dname",
            )


def _check_domain(facts: DomainFacts, options: LibvirtOptions) -> None:
    if facts.job:
        raise RefusedError(
            f"domain {facts.name!r} is already being migrated, or has another job",
            hint=f"follow it: postcopy attach {facts.name}",
        )
    if facts.paused:
        raise RefusedError(
            f"domain {facts.name!r} is paused",
            hint=f"virsh resume {facts.name}, or move it shut down: a guest that stands still"
            " needs no live migration",
        )
    if not facts.running:
        raise RefusedError(
            f"domain {facts.name!r} is not running", hint=f"virsh start {facts.name}"
        )
    if facts.vfio and options.postcopy:
        raise RefusedError(
            f"domain {facts.name!r} has host devices ({', '.join(facts.vfio)}): VFIO pins its"
            " memory, which excludes post-copy",
            hint="detach them for the move, or use --policy precopy where the device allows it",
        )


def _check_disks(facts: DomainFacts, options: LibvirtOptions) -> None:
    """libvirt passes over names that it does not know, and leaves their disks behind."""
    unknown = [name for name in options.migrate_disks if name not in facts.disks]
    if unknown:
        raise UsageError(
            f"domain {facts.name!r} has no disk {', '.join(unknown)} that could be copied",
            hint=f"--migrate-disks takes targets; it has: {', '.join(facts.disks) or 'none'}",
        )


def _check_versions(qemu: list[Version], options: LibvirtOptions) -> None:
    if not (options.parallel and options.postcopy):
        return
    oldest = min(qemu)
    for name in ("multifd-postcopy-loss", "multifd-postcopy"):
        known = known_issues.issue(name)
        if known.affects(oldest):
            raise RefusedError(
                f"--parallel with post-copy on QEMU {'.'.join(map(str, oldest))}: {known.what}",
                hint="leave --parallel out, or use --policy precopy;"
                f" {known_issues.issue('multifd-postcopy').remedy}",
            )


def _disks(tree: ET.Element) -> tuple[str, ...]:
    return tuple(
        target.get("dev", "")
        for disk in tree.iterfind("devices/disk")
        if disk.find("source") is not None and disk.find("readonly") is None
        for target in disk.iterfind("target")
    )


def _host_devices(tree: ET.Element) -> tuple[str, ...]:
    devices = [f"{e.get('mode', '')} {e.get('type', '')}" for e in tree.iter("hostdev")]
    interfaces = [e for e in tree.iter("interface") if e.get("type") == "hostdev"]
    return tuple(devices + ["interface"] * len(interfaces))
