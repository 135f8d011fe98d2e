"""The words of a fault campaign: what breaks, when, for how long, and under which guest."""

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from postcopy.lab.workload import Workload

__all__ = ["CUTS", "LINK_KINDS", "Fault", "Kind", "Moment", "RunPlan", "Side"]


class Kind(enum.StrEnum):
    """What breaks."""

    DOWN = "link down"
    """The cable is out at both ends."""
    DROP = "all dropped"
    """Both ends lose whatever arrives, without a word."""
    ONE_WAY = "one way only"
    """One end loses whatever arrives; what it sends still comes through."""
    HALF_OPEN = "half-open"
    """Both ends drop, and one of them gives its connections up: the other never hears of it."""
    RESET = "reset"
    """Connections between the hosts break at once at both ends; the link is fine."""
    SLOW = "slowed to 1 Mb/s"
    DELAY = "delayed"
    """The link's queue holds a second's worth: everything comes late, nothing is lost."""
    CLIENT = "client killed"
    """The command that supervises the migration gets SIGKILL; another one attaches."""
    DAEMON = "libvirtd killed"
    """One host's daemon gets SIGKILL, and is started again, as systemd would."""
    MONITOR = "monitor stopped"
    """The main thread of one QEMU stands still; its other threads go on."""


CUTS = frozenset({Kind.DOWN, Kind.DROP, Kind.ONE_WAY, Kind.HALF_OPEN, Kind.RESET})
"""What breaks the connection that carries the memory, if it lasts."""

LINK_KINDS = CUTS | {Kind.SLOW, Kind.DELAY}
"""What is done to the link between the hosts."""


class Moment(enum.StrEnum):
    """What a fault follows."""

    PRECOPY = "pre-copy"
    """Memory has begun to move."""
    SWITCH = "switch"
    """The switch to post-copy was acknowledged: within milliseconds."""
    EARLY = "just after"
    """The first half second of post-copy."""
    POSTCOPY = "post-copy"
    """Later in post-copy."""
    RECOVERY = "recovery"
    """Both sides are being connected again after a fault before."""
    AGAIN = "post-copy again"
    """A recovery has succeeded."""


class Side(enum.StrEnum):
    """Whom a fault strikes, where it strikes one."""

    BOTH = "both"
    SOURCE = "source"
    DESTINATION = "destination"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    :ivar after: seconds between the moment and the fault.
    :ivar seconds: how long it lasts; 0 for one that is over at once.
    """

    kind: Kind
    moment: Moment
    after: float
    seconds: float = 0.0
    side: Side = Side.BOTH

    def __str__(self) -> str:
        where = "" if self.side is Side.BOTH else f" at the {self.side}"
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.kind}{where} {self.after:.2f} s into {self.moment}{lasting}"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Fault":
        """Read what `dataclasses.asdict` wrote."""
        words = {
            "kind": Kind(data["kind"]),
            "moment": Moment(data["moment"]),
            "side": Side(data["side"]),
        }
        return cls(**{**data, **words})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """One run: a guest, a link, and what happens to them. The same plan can be done again.

    :ivar floor: what moves the guest: ``qemu``, ``libvirt``, ``nova``.
    :ivar seed: of the campaign.
    :ivar number: of the run in it, from 1.
    :ivar rate: of the link, bytes a second.
    :ivar switch_after: seconds of pre-copy before the switch; 0 switches at once.
    """

    floor: str
    seed: int
    number: int
    workload: Workload
    rate: int
    switch_after: float
    faults: tuple[Fault, ...]

    @property
    def policy(self) -> str:
        """The policy that switches so, as ``postcopy migrate --policy`` takes it."""
        if not self.switch_after:
            return "immediate"
        return f"virsh-timeout:timeout={self.switch_after:g}"

    @property
    def name(self) -> str:
        """What the run is called, for people and directories."""
        return f"{self.floor}-{self.number:04d}"

    def __str__(self) -> str:
        return f"{self.name}: {'; then '.join(map(str, self.faults))}"

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "RunPlan":
        """Read what `to_dict` wrote.

        :raises KeyError: and
        :raises TypeError: and
        :raises ValueError: when that was written by something else.
        """
        parts = {
            "workload": Workload(**data["workload"]),
            "faults": tuple(Fault.from_dict(fault) for fault in data["faults"]),
        }
        return cls(**{**data, **parts})
