"""What was found out about the way from one host to another, by going it."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from postcopy.readiness import Evidence, Ran

__all__ = ["CpuVerdict", "PathFacts", "Reach"]


class CpuVerdict(enum.StrEnum):
    """How a CPU compares with what a host can give to a guest."""

    SAME = "identical to that"
    LESS = "covered by that"
    MORE = "incompatible"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, ran: Ran) -> "CpuVerdict":
        """Read what ``virsh hypervisor-cpu-compare`` said."""
        for words, verdict in _COMPARED.items():
            if words in ran.out:
                return verdict
        return cls.UNKNOWN


_COMPARED = {
    "is identical to": CpuVerdict.SAME,
    "is a superset of CPU described": CpuVerdict.LESS,
    "is incompatible with": CpuVerdict.MORE,
}


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether one thing worked.

    :param error: why not; empty where it did.
    """

    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.error

    @classmethod
    def of(cls, raw: object) -> "Reach":
        if not isinstance(raw, Mapping):
            return cls("no answer")
        if raw.get("ok") is True or "addresses" in raw:
            return cls()
        return cls(str(raw.get("error") or "no answer")[:200])


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFacts:
    """The way from one host to another.

    :ivar target: the name or address that migrations are sent to.
    :ivar resolved: addresses that names of the destination stand for at the source.
    :ivar unresolved: names that stand for none there, each with the reason.
    :ivar ports: migration ports of the destination that were tried.
    :ivar no_listener: why none could be tried; empty where one could.
    :ivar daemon: whether its libvirt daemon could be connected to, by transport.
    :ivar tls: TLS handshakes, with the ``daemon`` and for the ``migration`` stream.
    :ivar bytes_per_second: throughput; None where it was not measured.
    :ivar round_trip_seconds: the median of a few bytes there and back.
    :ivar stalled: small messages came through and large ones did not.
    :ivar mtu: at the source, and at the destination; 0 where it is not known.
    :ivar cpu: how the source's CPU compares with the destination's.
    :ivar cpu_error: why that is not known.
    """

    target: str
    resolved: Mapping[str, tuple[str, ...]]
    unresolved: Mapping[str, str]
    ports: Mapping[int, Reach]
    no_listener: str
    daemon: Mapping[str, Reach]
    tls: Mapping[str, Reach]
    bytes_per_second: float | None
    round_trip_seconds: float | None
    stalled: bool
    mtu: tuple[int, int]
    cpu: CpuVerdict
    cpu_error: str

    @property
    def reachable_ports(self) -> tuple[int, ...]:
        """Migration ports that a connection came through to."""
        return tuple(port for port, reach in self.ports.items() if reach.ok)

    @classmethod
    def of(cls, target: str, listened: Evidence, dialled: Evidence) -> "PathFacts":
        """Read what both ends of the proof brought back; never raises.

        :param listened: from the destination, as `listen.collect` told it.
        :param dialled: from the source, as `dial.collect` told it.
        """
        told = dialled.proof("dialled") or {}
        listening = listened.proof("listening") or {}
        compared = listened.ran("cpu-compare")
        names = _group(told, "resolved")
        ports = {int(port): Reach.of(raw) for port, raw in _group(told, "ports").items()
                 if str(port).isdecimal() and len(str(port)) < 6}  # fmt: skip
        throughput = _group(told, "throughput")
        return cls(
            target=target,
            resolved={name: _addresses(raw) for name, raw in names.items() if Reach.of(raw).ok},
            unresolved={
                name: Reach.of(raw).error for name, raw in names.items() if not Reach.of(raw).ok
            },
            ports=ports,
            no_listener="" if ports else str(listening.get("error") or "no answer")[:200],
            daemon={name: Reach.of(raw) for name, raw in _group(told, "daemon").items()},
            tls={name: Reach.of(raw) for name, raw in _group(told, "tls").items()},
            bytes_per_second=_rate(throughput),
            round_trip_seconds=_positive(told.get("round_trip_seconds")),
            stalled=throughput.get("error") == "stalled",
            mtu=_mtu(_group(told, "ports")),
            cpu=CpuVerdict.of(compared),
            cpu_error=(compared.err.strip() or compared.error).split("\n")[-1][:200],
        )


def _group(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    group = of.get(name)
    return group if isinstance(group, Mapping) else {}


def _addresses(raw: Mapping[str, Any]) -> tuple[str, ...]:
    found = raw.get("addresses")
    return tuple(str(one) for one in found) if isinstance(found, list) else ()


def _positive(raw: object) -> float | None:
    return float(raw) if isinstance(raw, int | float) and 0 < raw < 1e15 else None


def _rate(throughput: Mapping[str, Any]) -> float | None:
    count, seconds = _positive(throughput.get("bytes")), _positive(throughput.get("seconds"))
    return count / seconds if count and seconds else None


def _mtu(ports: Mapping[str, Any]) -> tuple[int, int]:
    for raw in ports.values():
        if isinstance(raw, Mapping):
            here, there = raw.get("mtu"), raw.get("mtu_there")
            if isinstance(here, int) and isinstance(there, int):
                return here, there
    return 0, 0
