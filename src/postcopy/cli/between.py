"""Moves between two ends: hosts of a lab, libvirts, or QEMUs behind their sockets."""

from dataclasses import replace
from typing import TYPE_CHECKING

from postcopy.cli.access import Access, PlainMove
from postcopy.cli.refuse import refuse_libvirt_options, refuse_qemu_options
from postcopy.cli.request import Request
from postcopy.errors import UsageError
from postcopy.migration.conduct import Move

if TYPE_CHECKING:
    from postcopy.libvirt.driver import LibvirtDriver
    from postcopy.libvirt.rescue import Ways

__all__ = ["between_lab_hosts", "between_libvirts", "between_qemus", "in_lab"]


async def in_lab(request: Request) -> Move:
    """Move a guest of a lab, which may be a domain or bare."""
    from postcopy.lab.domain import LabDomain
    from postcopy.lab.lab import Lab
    from postcopy.lab.move import LabMove

    lab = Lab(request.lab)
    if request.guest in LabDomain.names(lab):
        return await _lab_domain(request)
    refuse_libvirt_options(request, "a bare guest of a lab")
    return await LabMove.prepare(
        lab,
        request.guest,
        request.destination,
        postcopy=request.policy.uses_postcopy,
        preempt=request.preempt is not False,
        bandwidth=request.bandwidth,
        downtime_limit=request.downtime_limit,
        recover_uri=request.recover_uri,
    )


async def _lab_domain(request: Request) -> PlainMove:
    """Move a domain of a lab, whose hosts' URIs need not be told."""
    from postcopy.lab.domain import LabDomain
    from postcopy.lab.lab import Lab

    if request.peer_uri is not None:
        raise UsageError(
            "--peer-uri goes with --from URI", hint="leave it out: a lab knows its hosts' URIs"
        )
    domain = LabDomain.load(Lab(request.lab), request.guest)
    return await between_lab_hosts(request, await domain.where(), request.destination)


async def between_lab_hosts(request: Request, source: str, beyond: str) -> PlainMove:
    """Move a domain from one host of a lab to the one `beyond`."""
    from postcopy.lab import libvirtd
    from postcopy.lab.lab import Lab

    lab = Lab(request.lab)
    destination = lab.guest_host(beyond)
    request = replace(
        request,
        source_uri=libvirtd.uris(lab.host(source))["unix"],
        destination=libvirtd.uris(destination)["tcp"],
        peer_uri=libvirtd.uris(destination)["peer"],
    )
    access = Access((source, destination.name), request.lab)
    driver = _libvirt_driver(request, await access.ways(request.recover_uri))
    return PlainMove(driver, source, destination.name, access)


def between_qemus(request: Request) -> Move:
    """Move a guest between two QEMUs, wherever their sockets are.

    :raises UsageError: when it is not said where both are.
    """
    from postcopy.qemu.driver import QemuDriver
    from postcopy.qemu.options import Endpoint, MigrationOptions

    refuse_libvirt_options(request, "bare QEMUs")
    source, destination = request.monitors
    if source is None or destination is None or request.uri is None:
        raise UsageError(
            "--qmp, --dest-qmp and --uri go together",
            hint="name the source's monitor, the destination's, and where the latter listens",
        )
    if source.resolve() == destination.resolve():
        raise UsageError(
            f"source and destination are the same QEMU: {source}",
            hint="give --dest-qmp the socket of the QEMU that waits with -incoming defer",
        )
    options = MigrationOptions(
        uri=request.uri,
        postcopy=request.policy.uses_postcopy,
        preempt=request.preempt is not False,
        bandwidth=request.bandwidth,
        downtime_limit=request.downtime_limit,
        recover_uri=request.recover_uri,
    )
    driver = QemuDriver(
        Endpoint("source", source, request.rescues[0]),
        Endpoint(request.destination, destination, request.rescues[1]),
        options,
    )
    return PlainMove(driver, "source", request.destination)


async def between_libvirts(request: Request) -> Move:
    """Move a domain between the libvirts of two URIs."""
    from postcopy.hosts.ways import host_of_uri

    assert request.source_uri is not None
    uris = (request.source_uri, request.destination)
    hosts = [given or host_of_uri(uri) for given, uri in zip(request.hosts, uris, strict=True)]
    access = Access(hosts, request.lab)
    driver = _libvirt_driver(request, await access.ways(request.recover_uri))
    return PlainMove(driver, *uris, access)


def _libvirt_driver(request: Request, ways: "Ways") -> "LibvirtDriver":
    from postcopy.libvirt.driver import LibvirtDriver
    from postcopy.libvirt.options import LibvirtOptions

    assert request.source_uri is not None
    refuse_qemu_options(request)
    options = LibvirtOptions(
        **{"postcopy": request.policy.uses_postcopy, **request.libvirt},
        bandwidth=request.bandwidth,
        downtime_limit=request.downtime_limit,
        recover_uri=request.recover_uri,
    )
    return LibvirtDriver(
        request.guest,
        request.source_uri,
        request.destination,
        options,
        peer_uri=request.peer_uri,
        ways=ways,
    )
