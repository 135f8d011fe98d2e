"""What a campaign asks of a floor: guests to move there, and faults that are the floor's own.

A floor has a lab to itself. Faults of the link and of the supervising command are the same on all
floors (`link.LinkFaults`, `execute`); a floor adds those of what it consists of, such as daemons.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from postcopy.bench.faults.model import Fault, Kind, Moment, RunPlan
from postcopy.lab.link import DataLink
from postcopy.lab.observer import Observation
from postcopy.lab.records import Record, Verdict

__all__ = ["DESTINATION", "SOURCE", "Copy", "Floor", "Mend", "Sight", "Subject"]

SOURCE, DESTINATION = "alpha", "beta"
"""The lab's hosts that every guest goes from, and to."""

Mend = Callable[[], Awaitable[None]]
"""Undoes a fault."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A guest at one host: a QEMU with it, or a definition of it.

    :ivar state: in the floor's own words.
    :ivar running: whether it runs there.
    """

    host: str
    state: str
    running: bool


@dataclass(frozen=True, slots=True)
class Sight:
    """Where a guest is seen.

    :ivar records: what is wrong with what is on record of it; empty if nothing.
    :ivar settled: False where a part of the floor does not answer, or is still busy with it.
    """

    copies: tuple[Copy, ...]
    records: str = ""
    settled: bool = True
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def running(self) -> tuple[str, ...]:
        """The hosts on which it runs."""
        return tuple(copy.host for copy in self.copies if copy.running)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Sight":
        """Read what `to_dict` wrote."""
        return cls(**{**data, "copies": tuple(Copy(**copy) for copy in data["copies"])})


class Subject(Protocol):
    """The guest of one run. It runs on `SOURCE`, and is to go to `DESTINATION`."""

    @property
    def name(self) -> str:
        """What commands call it."""
        ...

    def migrate(self) -> list[str]:
        """Return the command that moves it as planned."""
        ...

    def attach(self) -> list[str] | None:
        """Return the command that picks it up after that one has ended; None where there is none.

        Without one, a guest is left to whatever becomes of it.
        """
        ...

    async def tell(self, come: Callable[[Moment], None]) -> None:
        """Tell the moments that the command itself does not, until cancelled."""
        ...

    async def strike(self, fault: Fault) -> Mend:
        """Do a fault that is this floor's own, and return what undoes it."""
        ...

    async def look(self) -> Sight:
        """Look for the guest at both hosts. A host that does not answer is an answer."""
        ...

    async def verify(self) -> Verdict:
        """Have the guest check its memory.

        :raises UnavailableError: when it runs nowhere, or does not answer.
        """
        ...

    def observe(self, started_at: float, ended_at: float) -> Observation:
        """Return what it went through between two moments of Unix time."""
        ...

    def heard(self, host: str) -> list[Record]:
        """Return what it said on one host."""
        ...

    def logs(self) -> Mapping[str, Path]:
        """Return what is worth keeping of the run, by the name to keep it under."""
        ...

    async def remove(self) -> None:
        """End the guest, whatever state it is in, and all that it left."""
        ...


class Floor(Protocol):
    """Guests of one kind, in a lab of their own."""

    @property
    def name(self) -> str:
        """``qemu``, ``libvirt``, ``nova``."""
        ...

    @property
    def kinds(self) -> frozenset[Kind]:
        """What can be broken there."""
        ...

    async def up(self, progress: Callable[[str], None]) -> None:
        """Bring the lab up, in place of what an earlier campaign left of it."""
        ...

    async def down(self) -> None:
        """Take the lab away."""
        ...

    def link(self) -> DataLink:
        """Return the link that guests' memory takes."""
        ...

    async def boot(self, plan: RunPlan) -> Subject:
        """Start the guest of a run on `SOURCE`, and wait until it works.

        :raises PostcopyError: when it does not come up.
        """
        ...
