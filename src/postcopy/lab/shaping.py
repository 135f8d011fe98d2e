"""How much a host's end of the data link carries, and who waits for whom in front of it.

A queue is first in, first out (tc-tbf(8)), as a switch's is that a link leads into; or flows take
turns in it, as they do in front of a host's own link: Debian's default there is tc-fq_codel(8).
Here tc-htb(8) does that, which every kernel has: one class for each of so many flows, and a small
program that tells them by their ports. One that sends little goes before those that send a lot.
"""

import os
from typing import Any

from postcopy import syscalls

__all__ = ["QUEUE_SECONDS", "burst_bytes", "let_go", "limit", "rate_of"]

QUEUE_SECONDS = 0.05
"""How much waits before it is lost, if nothing else is said: the time that it takes to send."""

_ROOT = 0xFFFFFFFF  # TC_H_ROOT, include/uapi/linux/pkt_sched.h
_TBF, _HTB = 0x10000, 0x20000
_HANDLES = {"tbf": _TBF, "htb": _HTB}  # two kinds may not have the same
_WHOLE = _HTB | 0x1000
_FLOWS = 32
_FAST = 6_250_000  # 50 Mb/s
_OFFLOADED = 65536
_LEAST_BURST = 4096  # more than one Ethernet frame


def burst_bytes(rate: int) -> int:
    """Return how much may leave a host at once when its link is limited to `rate` bytes a second.

    A bucket must outlast the time until the kernel looks again, or the link stays under its rate;
    2 ms is ample with high-resolution timers. It must also take one segmentation-offload packet of
    64 KiB, which is otherwise cut up in software. On a slow link that costs nothing, and whole ones
    would each stand in the way for as long as a dead link does: there, 20 ms are all.
    """
    return max(128 * 1024, rate // 500) if rate >= _FAST else max(_LEAST_BURST, rate // 50)


def limit(route: Any, index: int, rate: int, queue_seconds: float, *, fair: bool) -> None:
    """Limit what a link carries away from here to `rate` bytes a second, headers included."""
    burst, waiting = burst_bytes(rate), int(rate * queue_seconds)
    new = burst < _OFFLOADED or _kind(route, index) != ("htb" if fair else "tbf")
    if new:
        # Also where the kind stays: a packet that waits already would not be cut up, and never
        # sent.
        let_go(route, index)
    if fair:
        _take_turns(route, index, rate, burst, waiting, new=new)
        return
    route.tc("replace", "tbf", index, handle=_TBF, rate=rate, burst=burst, limit=burst + waiting)


def let_go(route: Any, index: int) -> None:
    """Let a link carry what the machine can."""
    if (kind := _kind(route, index)) is not None:
        route.tc("del", index=index, handle=_HANDLES[kind], parent=_ROOT)


def rate_of(route: Any, index: int) -> int | None:
    """Return to how many bytes a second a link is limited; None if it is not."""
    for discipline in route.get_qdiscs(index=index):
        if discipline.get("kind") == "tbf":
            return int(discipline.get_nested("TCA_OPTIONS", "TCA_TBF_PARMS")["rate"])
    for one in route.get_classes(index=index):
        if one["handle"] == _WHOLE:
            return int(one.get_nested("TCA_OPTIONS", "TCA_HTB_PARMS")["rate"])
    return None


def _kind(route: Any, index: int) -> str | None:
    """Return what limits a link now."""
    kinds = [one.get("kind") for one in route.get_qdiscs(index=index)]
    return next((kind for kind in _HANDLES if kind in kinds), None)


def _take_turns(route: Any, index: int, rate: int, burst: int, waiting: int, *, new: bool) -> None:
    if new:
        route.tc("add", "htb", index, _HTB, default=1)
    change = "add-class" if new else "change-class"
    sizes = {"rate": rate, "ceil": rate, "burst": burst, "cburst": burst}
    route.tc(change, "htb", index, _WHOLE, parent=_HTB, **sizes)
    for number in range(1, _FLOWS + 1):
        own = {**sizes, "rate": rate // _FLOWS, "quantum": _OFFLOADED}
        route.tc(change, "htb", index, _HTB | number, parent=_WHOLE, **own)
        queue = {"handle": (0x100 + number) << 16, "parent": _HTB | number}
        route.tc("replace", "pfifo", index, limit=max(2, waiting // _OFFLOADED), **queue)
    if new:
        program = syscalls.bpf_flow_program(_FLOWS, _HTB | 1)
        try:
            route.tc("add-filter", "bpf", index, fd=program, name="postcopy-flows", parent=_HTB)
        finally:
            os.close(program)
