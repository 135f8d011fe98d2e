"""Where a migration's two ends are: in a lab, in a cloud, at two libvirts, behind two sockets."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from postcopy.cli.request import Request
from postcopy.errors import PostcopyError, UsageError
from postcopy.migration.conduct import Move
from postcopy.migration.driver import Driver
from postcopy.migration.journal import Journal

if TYPE_CHECKING:
    from postcopy.hosts import HostAccess
    from postcopy.libvirt.driver import LibvirtDriver
    from postcopy.libvirt.rescue import Ways

__all__ = [
    "Access",
    "Checked",
    "PlainMove",
    "check",
    "found",
    "in_cloud",
    "is_lab_server",
    "prepare",
    "resume",
]


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checks before a migration found.

    :ivar more: what else a plan should say.
    :ivar refusal: why the migration would not be begun all the same.
    """

    source: str
    more: Mapping[str, Any] = field(default_factory=dict)
    refusal: PostcopyError | None = None


class PlainMove:
    """Between two ends that somebody else looks after: nothing is to be tidied up."""

    def __init__(
        self, driver: Driver, source: str, destination: str, access: "Access | None" = None
    ) -> None:
        self.driver = driver
        self.source = source
        self.destination = destination
        self._access = access or Access()

    def record(self) -> dict[str, Any]:
        """Return what `resume` needs."""
        names = {"names": [self.source, self.destination], "access": self._access.record()}
        return {**self.driver.record(), **names}

    async def settle(self) -> None:
        """Let go of both ends."""
        await self.driver.close()
        await self._access.close()


class Access:
    """Ways into the hosts of both ends, opened when they are first needed.

    :param hosts: source and destination, as ``postcopy check`` takes hosts; None for no way.
    :param lab: the lab whose hosts bare names are.
    """

    def __init__(self, hosts: Sequence[str | None] = (None, None), lab: str | None = None) -> None:
        self._hosts = tuple(hosts)
        self._lab = lab
        self._open: list[HostAccess] = []

    def record(self) -> dict[str, Any]:
        """Return what makes the same again."""
        return {"hosts": list(self._hosts), "lab": self._lab}

    async def ways(self, recover_uri: str | None = None) -> "Ways":
        """Return what recovery needs of them.

        :param recover_uri: the destination on another network, where one is to be taken.
        """
        from postcopy.hosts import connect
        from postcopy.hosts.ways import ways_between

        def named(name: str) -> "HostAccess":
            from postcopy.lab.lab import Lab

            return Lab(self._lab or "default").host(name).access()

        source, destination = (connect(host, named) if host else None for host in self._hosts)
        self._open = [host for host in (source, destination) if host is not None]
        return await ways_between(source, destination, recover_uri)

    async def close(self) -> None:
        """Let go of both hosts."""
        for host in self._open:
            await host.close()


async def prepare(request: Request, journal: Journal | None = None) -> Move:
    """Make a move of what was asked for.

    :param journal: earlier runs, from which some things are known.
    :raises UsageError: when an option means nothing to what moves the guest.
    """
    if request.os_cloud is not None or is_lab_server(request):
        from postcopy.cli import clouds

        return await clouds.prepare(request, journal)
    _refuse_nova_options(request)
    if request.source_uri is not None:
        return await _between_libvirts(request)
    if _names_qemus(request):
        return _between_qemus(request)
    return await _in_lab(request)


async def check(request: Request) -> Checked:
    """Make the checks that can be made without moving anything."""
    if request.os_cloud is not None or is_lab_server(request):
        from postcopy.cli import clouds

        return await clouds.check(request)
    _refuse_nova_options(request)
    if request.source_uri is None and not _names_qemus(request):
        from postcopy.lab.domain import LabDomain
        from postcopy.lab.lab import Lab
        from postcopy.lab.move import check as check_bare

        lab = Lab(request.lab)
        if request.guest not in LabDomain.names(lab):
            _refuse_libvirt_options(request, "a bare guest of a lab")
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
        return await _between_libvirts(request)
    from postcopy.lab.domain import LabDomain
    from postcopy.lab.lab import Lab
    from postcopy.lab.move import LabMove

    lab = Lab(request.lab)
    if request.guest not in LabDomain.names(lab):
        return await LabMove.found(lab, request.guest, request.recover_uri)
    source, destination = await LabDomain.load(lab, request.guest).ends()
    return await _between_lab_hosts(request, source, destination)


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


def _refuse_nova_options(request: Request) -> None:
    if names := request.nova_names:
        raise UsageError(
            f"{', '.join(names)}: an option of migrations by Nova, without a cloud",
            hint="name the cloud: --os-cloud NAME, or OS_CLOUD; or leave it out",
        )


def _refuse_libvirt_options(request: Request, what: str) -> None:
    if names := request.libvirt_names:
        raise UsageError(
            f"{', '.join(names)}: an option of libvirt migrations, which means nothing to {what}",
            hint="leave it out; or, if the guest is a libvirt domain, say where it is: --from URI",
        )


def _refuse_qemu_options(request: Request) -> None:
    if names := request.qemu_names:
        raise UsageError(
            f"{', '.join(names)}: an option for bare QEMUs, which means nothing to libvirt",
            hint="leave it out: libvirt talks to its QEMUs itself, and lets requested pages"
            " overtake others where it can",
        )


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


async def _in_lab(request: Request) -> Move:
    from postcopy.lab.domain import LabDomain
    from postcopy.lab.lab import Lab
    from postcopy.lab.move import LabMove

    lab = Lab(request.lab)
    if request.guest in LabDomain.names(lab):
        return await _in_lab_by_libvirt(request)
    _refuse_libvirt_options(request, "a bare guest of a lab")
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


async def _in_lab_by_libvirt(request: Request) -> PlainMove:
    """Move a domain of a lab, whose hosts' URIs need not be told."""
    from postcopy.lab.domain import LabDomain
    from postcopy.lab.lab import Lab

    if request.peer_uri is not None:
        raise UsageError(
            "--peer-uri goes with --from URI", hint="leave it out: a lab knows its hosts' URIs"
        )
    domain = LabDomain.load(Lab(request.lab), request.guest)
    return await _between_lab_hosts(request, await domain.where(), request.destination)


async def _between_lab_hosts(request: Request, source: str, beyond: str) -> PlainMove:
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


def _between_qemus(request: Request) -> Move:
    from postcopy.qemu.driver import QemuDriver
    from postcopy.qemu.options import Endpoint, MigrationOptions

    _refuse_libvirt_options(request, "bare QEMUs")
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


async def _between_libvirts(request: Request) -> Move:
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
    _refuse_qemu_options(request)
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
