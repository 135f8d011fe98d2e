"""Moves of servers in OpenStack clouds: which cloud, and what is known of a switch there."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from postcopy.cli.compute_hosts import ComputeHosts
from postcopy.cli.moves import Checked
from postcopy.cli.request import Request
from postcopy.errors import PostcopyError, RefusedError, UsageError
from postcopy.migration.conduct import Move
from postcopy.migration.journal import Journal
from postcopy.migration.phase import Phase
from postcopy.nova.api import NovaApi
from postcopy.nova.driver import NovaDriver
from postcopy.nova.guards import BANDWIDTH_HINT
from postcopy.nova.permission import GIVEN, NOT_KNOWN, Effect, Permission

__all__ = ["CloudMove", "check", "driver_of", "in_lab", "prepare", "resume"]

_FOR_RECOVERY = {"--peer-uri", "--source-host", "--dest-host"}
"""Options of libvirt's that mean the same to Nova."""

_RUNS = 200
"""How many runs back earlier behaviour is looked for."""


class CloudMove:
    """A server that Nova is asked to move."""

    def __init__(self, driver: NovaDriver, hosts: ComputeHosts) -> None:
        self.driver = driver
        self._hosts = hosts

    @property
    def source(self) -> str:
        """The host that it leaves."""
        return self.driver.source

    @property
    def destination(self) -> str:
        """The host that it goes to, once that is known."""
        return self.driver.destination or "as Nova chooses"

    def record(self) -> dict[str, Any]:
        """Return what `resume` needs."""
        return {**self.driver.record(), **self._hosts.record()}

    async def settle(self) -> None:
        """Let go of it, and of its hosts."""
        await self.driver.close()
        await self._hosts.close()


async def prepare(request: Request, journal: Journal | None, api: NovaApi | None = None) -> Move:
    """Make a move, after all checks that move nothing.

    :param journal: earlier runs, which show how a host's Nova switches.
    :param api: the cloud's Nova, if it is at hand already.
    :raises RefusedError: when a switch would pause the guest, or might, and that is not allowed.
    """
    if request.os_cloud is None:
        request, api = in_lab(request)
    hosts = ComputeHosts.of_request(request)
    driver = await driver_of(request, journal, api, hosts)
    try:
        await driver.check()
        if request.policy.uses_postcopy:
            driver.check_switch()
    except PostcopyError:
        await driver.close()
        raise
    return CloudMove(driver, hosts)


async def check(request: Request, api: NovaApi | None = None) -> Checked:
    """Check, and say what a switch would do; a plan is shown even where it would be refused."""
    from postcopy.cli import session

    with session.open_journal() as journal:
        driver = await driver_of(request, journal, api)
    try:
        await driver.check()
    finally:
        await driver.close()
    more = {
        "force_complete": str(driver.permission) if request.policy.uses_postcopy else "not used",
        "notes": "; ".join(driver.notes),
    }
    refusal: PostcopyError | None = None
    if request.policy.uses_postcopy:
        try:
            driver.check_switch()
        except RefusedError as error:
            refusal = error
    return Checked(driver.source, more, refusal)


def resume(record: Mapping[str, Any]) -> Move:
    """Return the move that an earlier process recorded."""
    hosts = ComputeHosts.of_record(record)
    return CloudMove(NovaDriver.of_record(record, hosts.ways), hosts)


async def driver_of(
    request: Request,
    journal: Journal | None,
    api: NovaApi | None = None,
    hosts: ComputeHosts | None = None,
) -> NovaDriver:
    """Make a driver that knows what a switch will do.

    :param hosts: those that it may need ways into, for recovery.
    :raises UsageError: for options that mean nothing to Nova.
    """
    if request.bandwidth is not None:
        raise UsageError("Nova cannot bound one migration's bandwidth", hint=BANDWIDTH_HINT)
    if names := [*(set(request.libvirt_names) - _FOR_RECOVERY), *request.qemu_names]:
        raise UsageError(
            f"{', '.join(sorted(names))}: no option of migrations by Nova",
            hint="leave it out: nova.conf of the hosts says how Nova migrates",
        )
    if request.os_cloud is None:
        request, api = in_lab(request)
    places = (hosts or ComputeHosts.of_request(request)).places(request)
    driver = NovaDriver(
        request.guest,
        request.destination or None,
        api or NovaApi(request.os_cloud),
        allow_pause=request.allow_pause,
        places=places,
        downtime_limit=request.downtime_limit,
    )
    # Also for a policy that never switches: a user may, by hand.
    driver.permission = await _permission(request, driver, journal)
    return driver


def in_lab(request: Request) -> tuple[Request, NovaApi]:
    """Return what is asked for of a server of a lab, as of any cloud's, and that lab's Nova.

    A lab's hosts and their libvirts are at hand, so both are asked, and recovery has ways in.
    """
    from postcopy.lab import libvirtd
    from postcopy.lab.lab import Lab
    from postcopy.lab.openstack.clouds import CLOUD, file_of

    lab = Lab(request.lab)
    request = replace(
        request,
        os_cloud=CLOUD,
        libvirt_uri=request.libvirt_uri or libvirtd.template(lab.runtime_dir),
        check_host=request.check_host or "{host}",
        hosts=(request.hosts[0] or "{host}", request.hosts[1] or "{host}"),
    )
    return request, NovaApi(CLOUD, str(file_of(lab.runtime_dir)))


async def _permission(request: Request, driver: NovaDriver, journal: Journal | None) -> Permission:
    """Find out what a switch will do: from nova.conf, by the user's word, from earlier runs."""
    source = await driver.locate()
    if request.check_host is not None:
        from postcopy.cli.reach import lab_host
        from postcopy.doctor.permission import permission_of
        from postcopy.hosts import connect

        lab = request.lab or "default"
        name = request.check_host.replace("{host}", source)
        found = await permission_of(connect(name, lambda it: lab_host(lab, it)), source)
        if found.effect is not Effect.EITHER or not request.postcopy_permitted:
            return found
    if request.postcopy_permitted:
        return GIVEN
    return (_behaviour(journal, request, source) if journal is not None else None) or NOT_KNOWN


def _behaviour(journal: Journal, request: Request, source: str) -> Permission | None:
    """Return what the source's Nova did at the last switch that we saw there."""
    for run in journal.runs(limit=_RUNS):
        if (run.driver.get("kind"), run.driver.get("cloud")) != ("nova", request.os_cloud):
            continue
        if run.source != source:
            continue
        if any("was paused" in text for _, kind, text in journal.events(run.id) if kind == "Noted"):
            return Permission.of_behaviour(run.id, paused=True)
        if any(sample.phase is Phase.POSTCOPY for sample in journal.samples(run.id)):
            return Permission.of_behaviour(run.id, paused=False)
    return None
