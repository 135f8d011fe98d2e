"""What is moved, over what: a scenario, as data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from postcopy.errors import UsageError
from postcopy.lab.machine import GuestSpec
from postcopy.lab.services.service import SERVICES
from postcopy.lab.workload import Workload
from postcopy.units import format_bytes, parse_bytes, parse_rate

__all__ = ["FLOORS", "QUEUES", "WORKLOADS", "Scenario"]

FLOORS = ("qemu", "libvirt")

QUEUES = ("fifo", "fair")
"""In front of the link: first in, first out, or connections take turns."""

_SHARES = {"writer": 50, "hot": 50, "bursts": 50, "sequential": 75}
"""Workloads that write, and how much of the memory in percent, if that is not said."""

WORKLOADS = ("idle", "reader", *_SHARES, *SERVICES)
"""``idle`` does nothing; ``reader`` reads memory that nobody writes; ``writer`` rewrites at a rate
that pre-copy outruns; ``hot`` rewrites flat out; ``bursts`` does so now and then; ``sequential``
goes through its memory page by page; the others are real servers, under load from outside."""

_LEAST_BYTES = 16 << 20
# What the witness fills and checks in a guest with a server.
_BESIDE_MIB = 16
_MIB = 1 << 20
_PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A guest and a link.

    :param memory_bytes: what the workload fills, or a server is given to hold; the guest's RAM is
        somewhat more.
    :param share: of that, what is rewritten, in percent; only for workloads that write.
    :param rate: bytes rewritten a second, a page counting whole; only for ``writer``, 16 MiB a
        second if None.
    :param duty: for which part of its time a guest in bursts writes, in percent.
    :param period_seconds: of the bursts.
    :param link: bytes a second; None does not limit it.
    :param queue: what waits in front of the link, one of `QUEUES`.
    :param downtime_limit: how long the guest may stand still at a pre-copy switchover, in seconds.
    :raises UsageError: when one of them makes no sense.
    """

    workload: str
    memory_bytes: int = 128 * _MIB
    share: float | None = None
    rate: int | None = None
    duty: int | None = None
    period_seconds: float | None = None
    link: int | None = 50_000_000
    queue: str = "fifo"
    vcpus: int = 1
    floor: str = "qemu"
    downtime_limit: float = 0.3

    def __post_init__(self) -> None:
        _choose("workload", self.workload, WORKLOADS)
        _choose("floor", self.floor, FLOORS)
        _choose("queue", self.queue, QUEUES)
        if self.link is None and self.queue != QUEUES[0]:
            raise UsageError(
                "nothing waits in front of a link without a rate", hint="give one: link: 400mbit"
            )
        if self.memory_bytes < _LEAST_BYTES:
            raise UsageError(
                f"{format_bytes(self.memory_bytes)} of memory are too little to measure",
                hint=f"at least {format_bytes(_LEAST_BYTES)}",
            )
        if self.share is not None and not 0 < self.share <= 100:
            raise UsageError(f"a share of {self.share} % makes no sense", hint="above 0, up to 100")
        self._refuse("share", self.share, tuple(_SHARES))
        self._refuse("rate", self.rate, ("writer",))
        self._refuse("duty", self.duty, ("bursts",))
        self._refuse("period", self.period_seconds, ("bursts",))
        if self.rate is not None and self.rate < _PAGE_BYTES:
            raise UsageError(f"{self.rate} bytes a second are not one page", hint="rate: 16mbps")
        if not 0 < self.downtime_limit <= 2000:
            raise UsageError(
                f"a downtime limit of {self.downtime_limit} s makes no sense",
                hint="give seconds above 0 and at most 2000",
            )
        self.guest_spec("b")  # the lab's own limits

    def _refuse(self, what: str, value: object, workloads: tuple[str, ...]) -> None:
        if value is not None and self.workload not in workloads:
            raise UsageError(
                f"{what} means nothing to the workload {self.workload!r}",
                hint=f"it goes with {', '.join(workloads)}; leave it out",
            )

    @property
    def hot_bytes(self) -> int:
        """How much memory is rewritten."""
        share = self.share if self.share is not None else _SHARES.get(self.workload, 0)
        return round(self.memory_bytes * share / 100 / _MIB) * _MIB

    @property
    def workload_spec(self) -> Workload:
        """The same as the lab's witness takes it; beside a server it does next to nothing."""
        if self.workload in SERVICES:
            return Workload(_BESIDE_MIB, 0)
        hot = self.hot_bytes // _MIB
        rate, pattern = 0, "random"
        if self.workload == "writer":
            rate = max(1, (self.rate or 16 * _MIB) // _PAGE_BYTES)
        elif self.workload == "bursts":
            pattern = f"bursts:{self.duty or 30}:{round((self.period_seconds or 4.0) * 1000)}"
        elif self.workload == "sequential":
            pattern = "sequential"
        elif self.workload == "reader":
            pattern = "reads"
        cold = self.memory_bytes // _MIB - hot
        return Workload(cold, hot, rate, pattern, writers=self.vcpus)

    def guest_spec(self, name: str) -> GuestSpec:
        """Return the lab's guest of that name for it."""
        service = self.workload if self.workload in SERVICES else None
        return GuestSpec(
            name=name,
            workload=self.workload_spec,
            vcpus=self.vcpus,
            service=service,
            data_bytes=self.memory_bytes if service else 0,
        )

    @property
    def traits(self) -> tuple[str, ...]:
        """What it is, in words: the workload first."""
        words = [self.workload]
        if self.share is not None:
            words[0] += f" {self.share:g} %"
        if self.rate is not None:
            words[0] += f" {format_bytes(self.rate)}/s"
        if self.duty is not None or self.period_seconds is not None:
            words[0] += f" {self.duty or 30} % of {self.period_seconds or 4.0:g} s"
        words.append(f"{self.memory_bytes / _MIB:g} MiB")
        words.append("unshaped" if self.link is None else _bits(self.link))
        if self.queue != QUEUES[0]:
            words.append(f"{self.queue} queue")
        words.append("1 vCPU" if self.vcpus == 1 else f"{self.vcpus} vCPUs")
        words.append(self.floor)
        if self.downtime_limit != 0.3:
            words.append(f"limit {self.downtime_limit * 1000:g} ms")
        return tuple(words)

    @property
    def name(self) -> str:
        """All that it is in one line: no two scenarios that differ have the same."""
        return ", ".join(self.traits)

    def to_dict(self) -> dict[str, Any]:
        """Return the scenario as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Scenario":
        """Read what `to_dict` wrote."""
        return cls(**data)

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> "Scenario":
        """Read a scenario as people write it, with units: ``{workload: hot, link: 1gbit}``.

        :raises UsageError: when something in it makes no sense.
        """
        known: dict[str, Any] = {}
        for key, value in data.items():
            if key not in _READERS:
                raise UsageError(
                    f"a scenario has no {key!r}", hint=f"it may have: {', '.join(_READERS)}"
                )
            name, read = _READERS[key]
            try:
                known[name] = read(value)
            except (TypeError, ValueError):
                raise UsageError(f"{key}: {value!r} makes no sense", hint=_HINT) from None
        if "workload" not in known:
            raise UsageError("a scenario without a workload", hint=_HINT)
        return cls(**known)


_HINT = "such as {workload: hot, share: 50, memory: 128MiB, link: 400mbit, vcpus: 2, floor: qemu}"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError
    return value


def _link(value: object) -> int | None:
    return None if value == "unshaped" else parse_rate(_text(value))


_READERS: Mapping[str, tuple[str, Any]] = {
    "workload": ("workload", _text),
    "memory": ("memory_bytes", lambda value: parse_bytes(_text(value))),
    "share": ("share", _number),
    "rate": ("rate", lambda value: parse_rate(_text(value))),
    "duty": ("duty", _whole),
    "period": ("period_seconds", _number),
    "link": ("link", _link),
    "queue": ("queue", _text),
    "vcpus": ("vcpus", _whole),
    "floor": ("floor", _text),
    "downtime_limit": ("downtime_limit", _number),
}


def _choose(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"there is no {what} {value!r}", hint=f"choose: {', '.join(choices)}")


def _bits(rate: int) -> str:
    bits = rate * 8
    for unit, size in (("Gbit/s", 10**9), ("Mbit/s", 10**6), ("kbit/s", 10**3)):
        if bits >= size:
            return f"{bits / size:g} {unit}"
    return f"{bits} bit/s"
