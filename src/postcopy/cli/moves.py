"""What a request means: a move in a lab, in a cloud, between two libvirts, or two sockets."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from postcopy.cli.access import Access, PlainMove
from postcopy.cli.between import between_lab_hosts, between_libvirts, between_qemus, in_lab
from postcopy.cli.refuse import refuse_libvirt_options, refuse_nova_options
from postcopy.cli.request import Request
from postcopy.errors import PostcopyError, UsageError
from postcopy.migration.conduct import Move
from postcopy.migration.driver import Driver
from postcopy.migration.journal import Journal

if TYPE_CHECKING:
    from postcopy.libvirt.driver import LibvirtDriver

__all__ = ["Checked", "check", "found", "in_cloud", "is_lab_server", "prepare", "resume"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checks before a migration found.

    :ivar more: what else a plan should say.
    :ivar refusal: why the migration would not be begun all the same.
    """

    source: str
    more: Mapping[str, Any] = field(default_factory=dict)
    refusal: PostcopyError | None = None


async def prepare(request: Request, journal: Journal | None = None) -> Move:
    """Make a move of what was asked for.

    :param journal: earlier runs, from which some things are known.
    :raises UsageError: when an option means nothing to what moves the guest.
    """
    if request.os_cloud is not None or is_lab_server(request):
        from postcopy.cli import clouds

        return await clouds.prepare(request, journal)
    refuse_nova_options(request)
    if request.source_uri is not None:
        return await between_libvirts(request)
    if _names_qemus(request):
        return between_qemus(request)
    return await in_lab(request)


async def check(request: Request) -> Checked:
    """Make the checks that can be made without moving anything."""
    if request.os_cloud is not None or is_lab_server(request):
        from postcopy.cli import clouds

        return await clouds.check(request)
    refuse_nova_options(request)
    if request.source_uri is None and not _names_qemus(request):
        from postcopy.lab.domain import LabDomain
        from postcopy.lab.lab import Lab
        from postcopy.lab.move import check as check_bare

        lab = Lab(request.lab)
        if request.guest not in LabDomain.names(lab):
            refuse_libvirt_options(request, "a bare guest of a lab")
            # The QEMU that such a guest would arrive in is not there yet.
            _, source = await check_bare(lab, request.guest, request.destination)
            return Checked(source)
    move = await prepare(request)
    more: dict[str, Any] = {}
    try:
        await move.driver.check()
        if move.record().get("kind") == "libvirt" and request.policy.uses_postcopy:
            more["recovery"] = await cast("LibvirtDriver", move.driver).recovery_foreseen()
    finally:
        await move.settle()
    return Checked(move.source, more)


async def found(request: Request) -> Move:
    """Return the move that a guest is in the middle of, whoever began it.

    :raises NotFoundError: when it is in none.
    """
    if request.source_uri is not None:
        return await between_libvirts(request)
    from postcopy.lab.domain import LabDomain
    from postcopy.lab.lab import Lab
    from postcopy.lab.move import LabMove

    lab = Lab(request.lab)
    if request.guest not in LabDomain.names(lab):
        return await LabMove.found(lab, request.guest, request.recover_uri)
    source, destination = await LabDomain.load(lab, request.guest).ends()
    return await between_lab_hosts(request, source, destination)


def _names_qemus(request: Request) -> bool:
    return any(value is not None for value in (*request.monitors, *request.rescues, request.uri))


def is_lab_server(request: Request) -> bool:
    """Return whether a request is about a server of a lab's cloud, by its name alone."""
    if request.source_uri is not None or _names_qemus(request):
        return False
    from postcopy.lab.lab import Lab
    from postcopy.lab.openstack.server import LabServer

    return request.guest in LabServer.names(Lab(request.lab))


def in_cloud(request: Request, *, lab_given: bool) -> Request:
    """Return the request with the cloud of ``OS_CLOUD``, where nothing else says what is meant.

    :raises UsageError: when it does not say where to.
    """
    said = request.source_uri is not None or _names_qemus(request) or lab_given
    if request.os_cloud is None and not said and (cloud := os.environ.get("OS_CLOUD")):
        request = replace(request, os_cloud=cloud)
    if not (request.destination or request.os_cloud or is_lab_server(request)):
        raise UsageError(
            "where to? DEST is missing",
            hint="only Nova chooses a host by itself: --os-cloud NAME, or OS_CLOUD",
        )
    return request


async def resume(record: Mapping[str, Any], guest: str) -> Move:
    """Return the move that an earlier process recorded."""
    if "lab" in record:
        from postcopy.lab.move import LabMove

        return LabMove.resume(record, guest)
    driver: Driver
    if record["kind"] == "nova":
        from postcopy.cli.clouds import resume as resume_by_nova

        return resume_by_nova(record)
    access = Access(**record.get("access", {}))
    if record["kind"] == "libvirt":
        from postcopy.libvirt.driver import LibvirtDriver

        ways = await access.ways(record["options"].get("recover_uri"))
        driver = LibvirtDriver.of_record(record, ways)
    else:
        from postcopy.qemu.driver import QemuDriver

        driver = QemuDriver.of_record(record)
    source, destination = record["names"]
    return PlainMove(driver, source, destination, access)
