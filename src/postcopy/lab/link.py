"""The data link between the two hosts of a lab, and the ways in which a link can fail.

==========  ==================================================================================
failure      what the hosts see
==========  ==================================================================================
down         the cable is out: no carrier, no route, sending fails or waits
drop         the switch is dead: carrier and routes stay, every packet is lost without a word
reset        the connections between the hosts break at once at both ends, the link is fine
==========  ==================================================================================

The last two can be had at one host alone: what it sends arrives, and nothing comes back; or its own
end of each connection breaks, and the other one hears of it if the link is fine.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Any, TypeVar

from postcopy import syscalls
from postcopy.errors import UnavailableError
from postcopy.lab import names, shaping
from postcopy.lab.netlink import in_namespace, index_of, wait_for_carrier

__all__ = ["DataLink", "LinkState", "LinkStatus"]

T = TypeVar("T")

_TC_ACT_SHOT = 2  # include/uapi/linux/pkt_cls.h
_INGRESS = 0xFFFF0000


class LinkState(StrEnum):
    """What has been done to a data link."""

    UP = "up"
    DOWN = "down"
    DROPPING = "dropping"


@dataclass(frozen=True)
class LinkStatus:
    """A data link as it is now.

    :ivar rate: bytes a second, None when it is not limited.
    """

    state: LinkState
    rate: int | None


class DataLink:
    """The data link of a lab that is up. What is said of no end is done or seen at both."""

    def __init__(self, lab: str) -> None:
        self._lab = lab

    async def set_rate(
        self, rate: int, queue_seconds: float = shaping.QUEUE_SECONDS, *, fair: bool = False
    ) -> None:
        """Limit each direction to `rate` bytes a second, headers included.

        What waits in the queue is lost where the link becomes a slow one.

        :param queue_seconds: how much may wait before it is lost, as the time that it takes to
            send: a sender that fills the queue meets that much delay.
        :param fair: whether connections take turns in the queue, and each has one of its own.
        """

        def limit(route: Any) -> None:
            shaping.limit(route, index_of(route, names.DATA), rate, queue_seconds, fair=fair)

        await self._at_both_ends("limiting the data link", limit)

    async def unlimit(self) -> None:
        """Let the link carry what the machine can."""

        def let_go(route: Any) -> None:
            shaping.let_go(route, index_of(route, names.DATA))

        await self._at_both_ends("letting the data link go", let_go)

    async def down(self) -> None:
        """Take the link down at both ends."""

        def take_down(route: Any) -> None:
            route.link("set", index=index_of(route, names.DATA), state="down")

        await self._at_both_ends("taking the data link down", take_down)

    async def up(self) -> None:
        """Undo `down` and `drop`, and return when the link carries packets again."""

        def bring_up(route: Any) -> None:
            index = index_of(route, names.DATA)
            if _is_dropping(route, index):
                route.tc("del", "ingress", index)
            route.link("set", index=index, state="up")

        await self._at_both_ends("bringing the data link up", bring_up)
        await self._at_both_ends(
            "waiting for the data link", lambda route: wait_for_carrier(route, [names.DATA])
        )

    async def drop(self, hosts: Collection[str] = names.HOSTS) -> None:
        """Lose every packet that arrives at these ends, without a word to its sender."""

        def discard(route: Any) -> None:
            index = index_of(route, names.DATA)
            if _is_dropping(route, index):
                return
            route.tc("add", "ingress", index)
            program = syscalls.bpf_constant_program(_TC_ACT_SHOT)
            try:
                route.tc(
                    "add-filter",
                    "bpf",
                    index,
                    fd=program,
                    name="postcopy-drop",
                    parent=_INGRESS,
                    classid=1,
                    direct_action=True,
                )
            except BaseException:
                route.tc("del", "ingress", index)
                raise
            finally:
                os.close(program)

        await self._at_ends("dropping what the data link carries", discard, hosts)

    async def reset(self, hosts: Collection[str] = names.HOSTS) -> int:
        """Break every TCP connection between the hosts' data addresses, at these ends.

        :returns: how many ends of connections there were.
        """
        return sum(await self._at_ends("resetting connections", _destroy_connections, hosts))

    async def status(self) -> LinkStatus:
        """Return what has been done to the link, and its rate."""

        def look(route: Any) -> LinkStatus:
            index = index_of(route, names.DATA)
            [link] = route.get_links(index)
            rate = shaping.rate_of(route, index)
            if link.get("operstate") != "UP":
                state = LinkState.DOWN
            elif _is_dropping(route, index):
                state = LinkState.DROPPING
            else:
                state = LinkState.UP
            return LinkStatus(state, rate)

        ends = await self._at_both_ends("looking at the data link", look)
        worst = next(
            state
            for state in (LinkState.DOWN, LinkState.DROPPING, LinkState.UP)
            if any(end.state is state for end in ends)
        )
        return LinkStatus(worst, ends[0].rate)

    async def _at_both_ends(self, what: str, work: Callable[[Any], T]) -> list[T]:
        return await self._at_ends(what, work, names.HOSTS)

    async def _at_ends(
        self, what: str, work: Callable[[Any], T], hosts: Collection[str]
    ) -> list[T]:
        spaces = [names.namespaces(self._lab)[host] for host in hosts]
        results = await asyncio.gather(
            *(in_namespace(space, what, work) for space in spaces), return_exceptions=True
        )
        done = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            done.append(result)
        return done


def _is_dropping(route: Any, index: int) -> bool:
    return any(entry.get("kind") == "ingress" for entry in route.get_qdiscs(index=index))


def _destroy_connections(route: Any) -> int:
    from pyroute2 import DiagSocket
    from pyroute2.netlink import NLM_F_ACK, NLM_F_REQUEST, diag

    [address] = route.get_addr(index=index_of(route, names.DATA), family=socket.AF_INET)
    here = IPv4Address(address.get("address"))
    network = (int(here) >> 8) << 8

    def between_hosts(entry: Any) -> bool:
        return entry["idiag_src"] == str(here) and int(IPv4Address(entry["idiag_dst"])) & ~255 == (
            network
        )

    def connections(sockets: Any) -> dict[int, Any]:
        listed = sockets.get_sock_stats(family=socket.AF_INET, states=diag.SS_CONN)
        return {entry["idiag_cookie"]: entry for entry in listed if between_hosts(entry)}

    with DiagSocket() as sockets:
        sockets.bind()
        meant = connections(sockets)
        for entry in meant.values():
            request = diag.inet_diag_req()
            request["sdiag_family"] = socket.AF_INET
            request["sdiag_protocol"] = socket.IPPROTO_TCP
            for name in ("idiag_sport", "idiag_dport", "idiag_if", "idiag_cookie"):
                request[name] = entry[name]
            for name in ("idiag_src", "idiag_dst"):
                request[name] = (int(IPv4Address(entry[name])), 0, 0, 0)
            # The answer cannot be told from a refusal there (sock_diag has message types of its
            # own, and pyroute2 goes by the address family): so look whether it has gone.
            tuple(sockets.nlm_request(request, diag.SOCK_DESTROY, NLM_F_REQUEST | NLM_F_ACK))
        if left := meant.keys() & connections(sockets).keys():
            raise UnavailableError(
                f"the kernel refused to reset {len(left)} of {len(meant)} connections",
                hint="it needs CONFIG_INET_DIAG_DESTROY; `drop` and `down` work without",
            )
    return len(meant)
