"""A server that exists only as arithmetic, and a Nova that moves it the way Nova does.

What it shows of a live migration, and what it hides, is what Nova 26 and 31 were seen to show:
figures that are null at first, then zero, and then new every five seconds, an empty list of the
server's migrations and a 404 in post-copy, a server that stays at the source until the end and is
said to run even where it was paused.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from postcopy.clock import Clock

__all__ = ["FakeCloud", "FakeMigration"]

_TICK_SECONDS = 0.5
"""How often nova-compute looks at a migration."""
_FIGURES_TICKS = 10
_NEWEST = {26: (2, 93), 31: (2, 100)}
_RUNNING = 1
_MIB = 1 << 20


@dataclass(slots=True)
class FakeMigration:
    """One record of a migration, with what only the hosts know of it."""

    id: int
    source: str
    destination: str
    began_at: float
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "accepted"
    sent: float = 0.0
    left: float = 0.0
    figures: tuple[int, int, int] | None = None
    """In all, sent and left, as last written to the database."""
    stopped: bool = False
    """Whether the guest was paused, which only libvirt tells."""
    ticks: int = 0
    orders: list[str] = field(default_factory=list)
    rolled_back_at: float | None = None

    @property
    def over(self) -> bool:
        return self.status in ("completed", "failed", "error", "cancelled")


class FakeCloud:
    """A cloud with one server and two hosts, which live as the clock goes.

    :param release: 26 or 31, whose words it uses.
    :param permitted: whether the source's nova.conf permits post-copy.
    :param hot_bytes: how much of its memory the guest rewrites all the time; 0 converges at once.
    :param queued_seconds: how long the migration waits for others.
    :param timeout_seconds: after which Nova forces it to an end by itself; never if None.
    :param deaf_seconds: for how long force_complete is accepted and not heeded.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        release: int = 31,
        permitted: bool = True,
        memory_bytes: int = 1024 * _MIB,
        hot_bytes: int = 256 * _MIB,
        bandwidth: float = 32.0 * _MIB,
        queued_seconds: float = 0.0,
        timeout_seconds: float | None = None,
        deaf_seconds: float = 0.0,
    ) -> None:
        self.clock = clock
        self.release = release
        self.permitted = permitted
        self.memory_bytes = memory_bytes
        self.hot_bytes = hot_bytes
        self.bandwidth = bandwidth
        self.queued_seconds = queued_seconds
        self.timeout_seconds = timeout_seconds
        self.deaf_seconds = deaf_seconds
        self.server: dict[str, Any] | None = {
            "id": "5f3a1b1e-7d0c-4c5e-9f0a-2b6d1c0e8a11",
            "name": "web1",
            "status": "ACTIVE",
            "locked": False,
            "progress": 0,
            "OS-EXT-SRV-ATTR:host": "alpha",
            "OS-EXT-SRV-ATTR:hypervisor_hostname": "alpha",
            "OS-EXT-SRV-ATTR:instance_name": "instance-00000001",
            "OS-EXT-STS:task_state": None,
            "OS-EXT-STS:vm_state": "active",
            "OS-EXT-STS:power_state": _RUNNING,
        }
        self.migrations: list[FakeMigration] = []
        self.reason = ""
        """Why the latest one failed, as the server's actions tell."""
        self.later: list[tuple[float, Callable[[], None]]] = []
        """What else happens, and when, counted from the migration's begin."""
        self.aborted_as = "cancelled"
        """What a migration that was called off ends as; failed where Nova was late to look."""
        self.stuck = False
        """Whether the hosts have lost each other in post-copy."""
        self.allocations: dict[str, str] = {str(self.server["id"]): "alpha"}
        """On which host Placement keeps room, by whose name it is in."""
        self._now = clock.now()

    @property
    def newest(self) -> str:
        """The newest microversion."""
        return "{}.{}".format(*_NEWEST[self.release])

    @property
    def latest(self) -> FakeMigration:
        """The latest migration."""
        return self.migrations[-1]

    def begin(self, host: str | None) -> None:
        """Begin a live migration, as the API does: the checks come afterwards."""
        assert self.server is not None
        here = self.server["OS-EXT-SRV-ATTR:host"]
        there = host or ("beta" if here == "alpha" else "alpha")
        number = 1 + max((one.id for one in self.migrations), default=10)
        self.migrations.append(FakeMigration(number, here, there, self.clock.now()))
        self.latest.left = float(self.memory_bytes)
        self.allocations = {str(self.server["id"]): there, self.latest.uuid: here}
        self.server["OS-EXT-STS:task_state"] = "migrating"
        self.server["status"] = "MIGRATING"

    def refuse(self, reason: str) -> None:
        """Have the scheduler find no host."""
        self.reason = reason
        self._end("error", moved=False)

    def roll_back(self, reason: str = "") -> None:
        """Have the migration fail; the guest goes on at the source."""
        self.reason = reason
        self._end("failed", moved=False)

    def restart_compute(self) -> None:
        """Start the source's nova-compute again: it lets go of the server, not of the record."""
        assert self.server is not None
        self.server |= {"OS-EXT-STS:task_state": None, "status": "ACTIVE"}

    def live(self) -> None:
        """Let time pass until now."""
        now = self.clock.now()
        while self._now + _TICK_SECONDS <= now:
            self._now += _TICK_SECONDS
            if self.migrations and self.server is not None:
                self._happen()
                if not self.latest.over:
                    self._tick(self.latest)

    def _happen(self) -> None:
        age = self._now - self.latest.began_at
        due = [what for when, what in self.later if when <= age]
        self.later = [(when, what) for when, what in self.later if when > age]
        for what in due:
            what()

    def _tick(self, one: FakeMigration) -> None:
        if self.server is None or self.server["OS-EXT-STS:task_state"] is None:
            return
        age = self._now - one.began_at - self.queued_seconds
        if one.rolled_back_at is not None:
            if self._now >= one.rolled_back_at:
                self._end(self.aborted_as, moved=False)
            return
        if age < 2:
            one.status = "queued" if age < 0 else "accepted" if age < 1 else "preparing"
            return
        if one.status != "running (post-copy)":
            one.status = "running"
            self._heed(one, age)
        self._send(one)
        if one.ticks == 0:
            one.figures = (0, 0, 0)
        elif one.ticks % _FIGURES_TICKS == 0:
            one.figures = (self.memory_bytes, int(one.sent), int(one.left))
            done = 100 - 100 * one.left / self.memory_bytes
            self.server["progress"] = max(0, min(99, int(done)))
        one.ticks += 1

    def _heed(self, one: FakeMigration, age: float) -> None:
        assert self.server is not None
        if self.timeout_seconds is not None and age > self.timeout_seconds:
            one.orders.append("force")
        if "abort" in one.orders:
            one.rolled_back_at = self._now + 1
        if "force" in one.orders:
            one.orders.remove("force")
            if not one.sent or age < self.deaf_seconds:
                return  # nova-compute logs it, and nobody hears
            if self.permitted:
                one.status = "running (post-copy)"
            else:
                one.stopped = True

    def _send(self, one: FakeMigration) -> None:
        assert self.server is not None
        spread = one.status == "running (post-copy)"
        still = spread or one.stopped
        if spread and self.stuck:
            return
        sent = min(one.left, self.bandwidth * _TICK_SECONDS)
        one.sent += sent
        one.left -= sent
        if one.left <= 0:
            if still or not self.hot_bytes:
                self._end("completed", moved=True)
            else:
                one.left = float(self.hot_bytes)

    def _end(self, status: str, *, moved: bool) -> None:
        one = self.latest
        one.status = status
        if self.server is not None:
            self.allocations = {str(self.server["id"]): one.destination if moved else one.source}
            self.server |= {
                "OS-EXT-SRV-ATTR:host": one.destination if moved else one.source,
                "OS-EXT-SRV-ATTR:hypervisor_hostname": one.destination if moved else one.source,
                "OS-EXT-STS:task_state": None,
                "OS-EXT-STS:power_state": _RUNNING,
                "status": "ACTIVE",
                "progress": 0,
            }
