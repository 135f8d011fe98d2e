"""Talking to the kernel's networking from inside one namespace or another.

pyroute2 blocks, and which namespace a netlink socket belongs to is decided by the thread that
opens it. So each piece of work gets a thread of its own, which joins the namespace first and ends
with the work: no other thread is ever in a namespace that it does not expect.
"""

import asyncio
import errno
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from postcopy import syscalls
from postcopy.errors import PermissionDeniedError, PostcopyError, UnavailableError

__all__ = ["in_namespace", "in_own_thread", "index_of", "wait_for_carrier"]

T = TypeVar("T")

_CARRIER_SECONDS = 5.0

_HINTS = {
    errno.EOPNOTSUPP: "the kernel needs veth, bridge, sch_tbf, sch_htb, sch_ingress and cls_bpf",
    errno.ENOENT: "the kernel may lack sch_tbf, sch_htb, sch_ingress or cls_bpf",
}


async def in_namespace(path: Path | None, what: str, work: Callable[[Any], T]) -> T:
    """Call `work` with a `pyroute2.IPRoute` of a network namespace.

    :param path: the namespace's file; None is the namespace that this process is in.
    :param what: what is being done, in words, for the message of an error.
    :raises PermissionDeniedError: when the kernel refuses for lack of a privilege.
    :raises UnavailableError: when the namespace is not there or the kernel cannot do it.
    """

    def enter() -> T:
        from pyroute2 import IPRoute

        if path is not None:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                syscalls.setns(descriptor, syscalls.CLONE_NEWNET)
            finally:
                os.close(descriptor)
        with IPRoute() as route:
            return work(route)

    return await in_own_thread(what, enter)


async def in_own_thread(what: str, work: Callable[[], T]) -> T:
    """Call `work` in a thread that ends with it, and turn the kernel's refusals into words.

    Work that has begun is waited for even when the caller is cancelled: half a change to the
    network is worth less than none.
    """
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="netlink")
    done = asyncio.wrap_future(executor.submit(work))
    executor.shutdown(wait=False)
    try:
        return await _finish(done)
    except Exception as error:
        raise _explained(what, error) from error


async def _finish(done: "asyncio.Future[T]") -> T:
    cancelled: asyncio.CancelledError | None = None
    while not done.done():
        try:
            await asyncio.wait([done])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return done.result()


def index_of(route: Any, name: str) -> int:
    """Return the index of the interface of that name in the namespace that `route` is in.

    :raises OSError: when there is none.
    """
    found = route.link_lookup(ifname=name)
    if not found:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), name)
    return int(found[0])


def wait_for_carrier(route: Any, links: Iterable[str]) -> None:
    """Return when links carry packets, which is some milliseconds after both ends are up.

    :raises UnavailableError: when one does not within seconds.
    """
    deadline = time.monotonic() + _CARRIER_SECONDS
    for name in links:
        index = index_of(route, name)
        while route.get_links(index)[0].get("operstate") != "UP":
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"the link {name} has no carrier after {_CARRIER_SECONDS:.0f} s",
                    hint="take the lab down and bring it up again",
                )
            time.sleep(0.002)


def _explained(what: str, error: Exception) -> Exception:
    from pyroute2.netlink.exceptions import NetlinkError

    if isinstance(error, PostcopyError):
        return error
    if isinstance(error, NetlinkError):
        number = abs(int(error.code))
        reason = os.strerror(number)
    elif isinstance(error, OSError) and error.errno is not None:
        number = error.errno
        reason = f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
    else:
        return error
    if number in (errno.EPERM, errno.EACCES):
        return PermissionDeniedError(
            f"{what}: {reason}",
            hint="run this as root, in a container with CAP_SYS_ADMIN and CAP_NET_ADMIN",
        )
    return UnavailableError(f"{what}: {reason}", hint=_HINTS.get(number, ""))
