"""A link for guests that follows them: a bridge in each host, one network with the machine.

::

    machine's bridge ── veth ── alpha's bridge ── tap ── the guest, wherever it is
                    └── veth ── beta's bridge  ── tap

A bare guest's QEMU takes the tap that is made here, a domain's is made by libvirt. The guest keeps
its address. When it has moved, its QEMU announces it at the new place, and the bridges send what is
for it there. The data link carries none of it.
"""

import functools
from pathlib import Path
from typing import Any

from postcopy.lab import names
from postcopy.lab.lab import Lab
from postcopy.lab.netlink import in_namespace, index_of
from postcopy.lab.services.service import BRIDGE, TAP
from postcopy.lab.state import LabRecord

__all__ = ["ensure", "guest_address"]

_UPLINK = "guests-up"
_ADDRESS = 100
"""Of the guest, in the network of the control link."""


def guest_address(lab: Lab) -> str:
    """Return the IPv4 address that the guest has in this lab, on the machine's network of it."""
    return names.control_address(_slot(lab), names.HOSTS[0]).rpartition(".")[0] + f".{_ADDRESS}"


async def ensure(lab: Lab) -> None:
    """Make the link where it is not there yet; it goes with the lab's hosts.

    :raises UnavailableError: when the kernel cannot.
    """
    slot = _slot(lab)
    for host in names.HOSTS:
        space = names.namespaces(lab.name)[host]
        known = await in_namespace(
            space,
            f"looking for the guests' link of {host}",
            lambda route: bool(route.link_lookup(ifname=TAP)),
        )
        if known:
            continue
        await in_namespace(
            None,
            f"connecting the guests of {host}",
            functools.partial(_connect, lab=lab.name, slot=slot, host=host, space=space),
        )
        await in_namespace(space, f"making the guests' link of {host}", _make)


def _slot(lab: Lab) -> int:
    lab.host(names.HOSTS[0])  # one that is not up is told as such
    record = LabRecord.load(lab.name)
    assert record is not None
    return record.slot


def _connect(route: Any, lab: str, slot: int, host: str, space: Path) -> None:
    bridge = names.bridge(lab, slot)
    near = names.port(lab, slot, host).replace("-", "g-")
    with space.open("rb") as file:
        far = {"ifname": _UPLINK, "net_ns_fd": file.fileno()}
        route.link("add", ifname=near, kind="veth", peer=far)
    index = index_of(route, near)
    route.link("set", index=index, master=index_of(route, bridge), state="up")


def _make(route: Any) -> None:
    route.link("add", ifname=BRIDGE, kind="bridge")
    bridge = index_of(route, BRIDGE)
    route.link("set", index=bridge, state="up")
    route.link("add", ifname=TAP, kind="tuntap", mode="tap")
    for name in (_UPLINK, TAP):
        route.link("set", index=index_of(route, name), master=bridge, state="up")
