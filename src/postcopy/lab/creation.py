"""Making a lab's hosts: their network, their processes, and the daemons in them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from postcopy.errors import UnavailableError
from postcopy.lab import credentials, libvirtd, names, network, releases, root, sshd, state
from postcopy.lab import host as hosts
from postcopy.lab.host import Host
from postcopy.lab.init import HostSpec
from postcopy.lab.root import Root
from postcopy.lab.state import HostRecord, LabRecord

__all__ = ["create", "ensure_daemons", "host_of"]

_DAEMONS = (libvirtd.ensure, sshd.ensure)


async def create(
    lab: str, wanted: dict[str, str], rate: int, kvm: bool, progress: Callable[[str], None]
) -> LabRecord:
    """Make the hosts of a lab of which there is nothing; the caller holds its lock.

    What was made when this fails is for `teardown` to find.

    :param lab: its name.
    :param wanted: each host's release.
    :param rate: of the data link, bytes a second.
    :param kvm: whether the hosts have a ``/dev/kvm``.
    :param progress: told what is being done, in words.
    """
    layers = state.layers_directory(lab)
    # Written with a slot that says nothing yet, so that a build that is killed leaves a lab
    # that is seen to be half there.
    record = LabRecord(lab, -1, wanted, rate, str(layers))
    record.save()
    built = {
        name: await root.ensure(releases.release(name), progress)
        for name in sorted(set(wanted.values()))
    }
    async with network.changing():
        record = replace(record, slot=await network.free_slot(_recorded_slots(lab)))
        record.save()
        progress("making the network")
        await network.create(lab, record.slot, rate, list(wanted))
    progress("starting the hosts")
    started = await asyncio.gather(
        *(_start(host, record, built[name], kvm) for host, name in wanted.items()),
        return_exceptions=True,
    )
    running: dict[str, HostRecord] = {}
    for name, result in zip(wanted, started, strict=True):
        if isinstance(result, BaseException):
            raise result
        running[name] = result
    record = record.with_hosts(running)
    record.save()
    await ensure_daemons(record, progress)
    return record


async def ensure_daemons(record: LabRecord, progress: Callable[[str], None]) -> None:
    """Have libvirtd and sshd run in both hosts, with the lab's keys."""
    both = [host_of(record, name) for name in names.HOSTS]
    progress("starting libvirtd and sshd where they do not run")
    await asyncio.to_thread(credentials.provide, both, Path(record.layers))
    await asyncio.gather(*(start(host) for host in both for start in _DAEMONS))


def host_of(record: LabRecord, name: str) -> Host:
    """Return a host of a lab that is on record."""
    return Host(
        record.name,
        name,
        record.hosts[name].pid,
        names.data_address(record.slot, name),
        names.control_address(record.slot, name),
        state.directory(record.name) / name,
    )


async def _start(name: str, record: LabRecord, built: Root, kvm: bool) -> HostRecord:
    layers = Path(record.layers) / name
    runtime = state.directory(record.name) / name
    shared = Path(record.layers) / "shared"
    for directory in (layers, runtime, shared):
        directory.mkdir(parents=True, exist_ok=True)
    addresses = {host: names.data_address(record.slot, host) for host in names.HOSTS}
    if names.CONTROLLER in record.releases:
        addresses[names.CONTROLLER] = names.control_address(record.slot, names.CONTROLLER)
    spec = HostSpec(
        name=name,
        namespace=str(names.namespaces(record.name)[name]),
        root=str(built.directory),
        layers=str(layers),
        runtime=str(runtime),
        shared=str(shared),
        hosts=addresses,
        kvm=kvm,
    )
    return await hosts.start(record.name, spec)


def _recorded_slots(but: str) -> set[int]:
    """Return the slots of labs that may not have any link yet, or not any more."""
    slots = set()
    for lab in state.known_labs() - {but}:
        try:
            record = LabRecord.load(lab)
        except UnavailableError:
            continue
        if record is not None:
            slots.add(record.slot)
    return slots
