"""The network of a lab: a namespace for each host, the link between them, the links to the machine.

Everything here is found again by its name, and `delete` takes away whatever there is of it. Making
and taking away happen one lab at a time, under `changing`.
"""

import contextlib
import functools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from postcopy import syscalls
from postcopy.errors import UnavailableError
from postcopy.lab import lock, names
from postcopy.lab.link import DataLink
from postcopy.lab.netlink import in_namespace, in_own_thread, index_of, wait_for_carrier

__all__ = ["changing", "create", "delete", "exists", "free_slot"]

_LOCK = Path("/run/postcopy-network.lock")
"""One for the machine, as slots and the names of namespaces are."""

_LOCK_SECONDS = 30.0
_ADDRESS_NONE = 1  # IN6_ADDR_GEN_MODE_NONE, include/uapi/linux/if_link.h
_MOUNT_SOURCE = "postcopy"


def changing() -> contextlib.AbstractAsyncContextManager[None]:
    """Keep other labs from being made or taken away while the body runs."""
    return lock.hold(_LOCK, "the network of the labs", patience=_LOCK_SECONDS)


async def free_slot(taken: Iterable[int]) -> int:
    """Return the lowest slot that neither `taken` names nor a link of the machine uses.

    :raises UnavailableError: when there is none.
    """

    def used(route: Any) -> set[int]:
        slots = {names.slot_of_link(link.get("ifname")) for link in route.get_links()}
        return {slot for slot in slots if slot is not None}

    occupied = set(taken) | await in_namespace(None, "looking for a free slot", used)
    for slot in range(names.SLOTS):
        if slot not in occupied:
            return slot
    raise UnavailableError(
        f"all {names.SLOTS} slots for labs are taken",
        hint="`postcopy lab down` frees the slot of a lab that is not needed any more",
    )


async def create(lab: str, slot: int, rate: int, hosts: Sequence[str] = names.HOSTS) -> None:
    """Make the namespaces and links of a lab, and wait until the links carry packets.

    :param rate: of the data link, bytes a second.
    :param hosts: those that the lab has; those of `names.HOSTS` are joined by the data link.
    """
    await in_own_thread("preparing the directory of network namespaces", _prepare_directory)
    spaces = {host: path for host, path in names.namespaces(lab).items() if host in hosts}
    for path in spaces.values():
        await in_own_thread(
            f"making the network namespace {path.name}", functools.partial(_make, path)
        )
    await in_namespace(
        None,
        "making the control links",
        lambda route: _make_control_links(route, lab, slot, spaces),
    )
    first, second = names.HOSTS
    await in_namespace(
        spaces[first],
        "making the data link",
        lambda route: _make_pair(route, names.DATA, spaces[second], names.DATA),
    )
    for host, path in spaces.items():
        await in_namespace(
            path,
            f"setting up the links of {host}",
            functools.partial(_set_up_host, slot=slot, host=host),
        )
    await DataLink(lab).set_rate(rate)
    for host, path in spaces.items():
        await in_namespace(
            path,
            f"waiting for the links of {path.name}",
            functools.partial(wait_for_carrier, links=list(_links(slot, host))),
        )


async def delete(lab: str) -> None:
    """Take away every link and namespace of a lab. Its processes must have ended before."""

    def remove_links(route: Any) -> None:
        from pyroute2.netlink.exceptions import NetlinkError

        for link in route.get_links():
            if names.owned_link(link.get("ifname"), lab):
                try:
                    route.link("del", index=link["index"])
                except NetlinkError:
                    # The other end of a veth pair goes with the first: look before complaining.
                    if route.link_lookup(ifname=link.get("ifname")):
                        raise

    await in_namespace(None, f"removing the links of lab {lab}", remove_links)
    for path in names.namespaces(lab).values():
        await in_own_thread(
            f"removing the network namespace {path.name}", functools.partial(_drop, path)
        )
    await in_own_thread("tidying the directory of network namespaces", _tidy_directory)


async def exists(lab: str) -> bool:
    """Return whether there is any link or namespace of a lab."""
    if lab in names.labs_with_namespaces():
        return True

    def owned(route: Any) -> bool:
        return any(names.owned_link(link.get("ifname"), lab) for link in route.get_links())

    return await in_namespace(None, f"looking for the links of lab {lab}", owned)


def _prepare_directory() -> None:
    """Make the directory as ip-netns(8) would: a shared mount, so that removals are seen by all."""
    names.NAMESPACES.mkdir(parents=True, exist_ok=True)
    if _mount_source(names.NAMESPACES) is None:
        if any(names.NAMESPACES.iterdir()):
            syscalls.mount(
                names.NAMESPACES, names.NAMESPACES, None, syscalls.MS_BIND | syscalls.MS_REC
            )
        else:
            # A file system of our own can be told from one that others rely on, and removed.
            syscalls.mount(_MOUNT_SOURCE, names.NAMESPACES, "tmpfs", 0, "mode=755")
    syscalls.mount("none", names.NAMESPACES, None, syscalls.MS_SHARED | syscalls.MS_REC)


def _tidy_directory() -> None:
    if _mount_source(names.NAMESPACES) == _MOUNT_SOURCE and not any(names.NAMESPACES.iterdir()):
        syscalls.umount(names.NAMESPACES)
        with contextlib.suppress(OSError):  # what was there before is somebody else's
            names.NAMESPACES.rmdir()


def _mount_source(path: Path) -> str | None:
    """Return what is mounted on top at a path, None if it is no mount point."""
    source = None
    for line in Path("/proc/thread-self/mountinfo").read_text().splitlines():
        fields, _, details = line.partition(" - ")
        if fields.split()[4] == os.path.realpath(path):
            source = details.split()[1]
    return source


def _make(path: Path) -> None:
    path.touch(mode=0o444, exist_ok=False)
    syscalls.unshare(syscalls.CLONE_NEWNET)
    syscalls.mount("/proc/thread-self/ns/net", path, None, syscalls.MS_BIND)


def _drop(path: Path) -> None:
    while path.exists():
        with contextlib.suppress(OSError):  # not mounted: killed between the file and the mount
            syscalls.umount(path, syscalls.MNT_DETACH)
            continue
        path.unlink()


def _make_pair(route: Any, near: str, space: Path, far: str) -> None:
    descriptor = os.open(space, os.O_RDONLY | os.O_CLOEXEC)
    try:
        route.link("add", ifname=near, kind="veth", peer={"ifname": far, "net_ns_fd": descriptor})
    finally:
        os.close(descriptor)


def _make_control_links(route: Any, lab: str, slot: int, spaces: dict[str, Path]) -> None:
    name = names.bridge(lab, slot)
    route.link("add", ifname=name, kind="bridge")
    index = index_of(route, name)
    _bring_up(route, index)
    route.addr(
        "add", index=index, address=names.machine_address(slot), prefixlen=names.PREFIX_LENGTH
    )
    for host, space in spaces.items():
        port = names.port(lab, slot, host)
        _make_pair(route, port, space, names.CONTROL)
        port_index = index_of(route, port)
        route.link("set", index=port_index, master=index)
        _bring_up(route, port_index)


def _links(slot: int, host: str) -> dict[str, str]:
    """Return the addresses of a host by the name of the link."""
    control = {names.CONTROL: names.control_address(slot, host)}
    if host not in names.HOSTS:
        return control
    return {names.DATA: names.data_address(slot, host), **control}


def _set_up_host(route: Any, slot: int, host: str) -> None:
    route.link("set", index=index_of(route, "lo"), state="up")
    for name, address in _links(slot, host).items():
        index = index_of(route, name)
        route.addr("add", index=index, address=address, prefixlen=names.PREFIX_LENGTH)
        _bring_up(route, index)


def _bring_up(route: Any, index: int) -> None:
    # No IPv6 address: its duplicate detection and router solicitations are noise on the link.
    no_address = {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _ADDRESS_NONE)]}
    with_ipv6 = Path("/proc/sys/net/ipv6").exists()
    extra = {"IFLA_AF_SPEC": {"attrs": [("AF_INET6", no_address)]}} if with_ipv6 else {}
    route.link("set", index=index, state="up", **extra)
