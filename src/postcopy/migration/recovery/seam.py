"""What recovery asks of a floor: to look at both sides, to break off, to connect again."""

import enum
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Connection", "Half", "Look", "Rescue", "Wire"]


class Half(enum.StrEnum):
    """What one side says of a post-copy."""

    ACTIVE = "active"
    """It goes on, as far as this side knows."""
    PAUSED = "paused"
    """It is interrupted and waits to be connected again."""
    CONNECTING = "connecting"
    DONE = "done"
    """This side has sent, or has, all of the memory."""
    HUNG = "hung"
    """The guest's QEMU is there and does not answer, but a session from before can be used."""
    GONE = "gone"
    """There is no QEMU with this guest, or it has given the migration up."""
    SILENT = "silent"
    """It cannot be asked: no session, no answer from the host."""
    UNKNOWN = "unknown"
    """It says something that was never heard before, or that cannot be."""


@dataclass(frozen=True, slots=True)
class Look:
    """What both sides say, at one moment.

    :ivar words: their own words, for people.
    """

    source: Half
    destination: Half
    words: str = ""

    def __str__(self) -> str:
        text = f"source {self.source}, destination {self.destination}"
        return f"{text} ({self.words})" if self.words else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What the source's kernel says of the connections that carry the memory, as one.

    :ivar count: how many there are.
    :ivar unacknowledged_bytes: sent and not confirmed by the other side.
    :ivar silent_seconds: since the other side last confirmed anything, on the connection that has
        waited longest with something unacknowledged; 0 when nothing is.
    :ivar retransmissions: how often what is outstanding was sent again without an answer.
    """

    count: int
    unacknowledged_bytes: int = 0
    silent_seconds: float = 0.0
    retransmissions: int = 0


class Wire(Protocol):
    """The way that the memory takes, seen from the source's host."""

    async def prepare(self) -> None:
        """Find out, while all is well, what can be seen of it."""
        ...

    async def connection(self) -> Connection | None:
        """Return how the migration's connections are; None where that cannot be seen."""
        ...

    async def wait(self, seconds: float) -> bool | None:
        """Return True as soon as packets come back, False if none did for so long.

        None where nobody can tell, such as behind a firewall that never answered.
        """
        ...


class Rescue(Protocol):
    """What a driver offers whose guests can be recovered. It holds nothing about the guest."""

    @property
    def wire(self) -> Wire | None:
        """The way between both hosts, where it can be looked at."""
        ...

    @property
    def obstacles(self) -> str:
        """Why recovery would need a person's hand, or nothing; for people, beforehand."""
        ...

    @property
    def how(self) -> str:
        """In which way both sides would be connected again now, where there are several."""
        ...

    async def hasten(self) -> int:
        """Have the destination's requests for missing pages sent at once, each by itself.

        :returns: of how many connections; none where there is no way to.
        :raises PostcopyError: when it cannot be done. The guest only waits longer for its pages.
        """
        ...

    async def look(self) -> Look:
        """Ask both sides, a few seconds at most. A side that does not answer is an answer."""
        ...

    async def break_off(self, *, source: bool, destination: bool) -> None:
        """Have a side take its connection for dead, so that it pauses. Asking again is harmless.

        :raises PostcopyError: when it cannot be done, or not yet.
        """
        ...

    async def connect(self) -> None:
        """Have both sides, which are paused, connect again; returns when that has begun.

        :raises PostcopyError: when it was refused.
        """
        ...

    async def arrived(self) -> None:
        """Do what is left to do where the destination has everything and the source never heard.

        :raises PostcopyError: when it cannot be done.
        """
        ...
