"""A floor without a lab: its guests do what a script says, and its link remembers what was done."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from postcopy.bench.faults.execute import Patience
from postcopy.bench.faults.floor import DESTINATION, SOURCE, Copy, Mend, Sight
from postcopy.bench.faults.model import Fault, Kind, Moment, RunPlan
from postcopy.errors import UnavailableError
from postcopy.lab.link import DataLink
from postcopy.lab.observer import Observation
from postcopy.lab.records import Beat, Record, Verdict
from postcopy.lab.workload import Workload

__all__ = ["MOVES", "QUICK", "FakeFloor", "FakeLink", "FakeSubject", "plan", "says"]

QUICK = Patience(bound=3.0, arrival=0.0, ending=0.3, doubt=0.3)
MOVES = ("-> precopy", "switch acknowledged", "-> postcopy")


def plan(*faults: Fault, number: int = 1) -> RunPlan:
    return RunPlan(
        floor="qemu",
        seed=1,
        number=number,
        workload=Workload(cold_mib=8, hot_mib=8),
        rate=20_000_000,
        switch_after=0.0,
        faults=faults,
    )


def says(*lines: str, for_seconds: float = 0.2, code: int = 0) -> list[str]:
    """Return a command that says these lines, goes on for a while and ends."""
    script = f"import sys,time\nfor line in {lines!r}: print(line, flush=True)\n"
    return [sys.executable, "-c", f"{script}time.sleep({for_seconds})\nsys.exit({code})"]


class FakeLink:
    def __init__(self) -> None:
        self.done: list[str] = []

    async def up(self) -> None:
        self.done.append("up")

    async def down(self) -> None:
        self.done.append("down")

    async def drop(self, hosts: tuple[str, ...] = (SOURCE, DESTINATION)) -> None:
        self.done.append(f"drop {' '.join(hosts)}")

    async def reset(self, hosts: tuple[str, ...] = (SOURCE, DESTINATION)) -> int:
        self.done.append(f"reset {' '.join(hosts)}")
        return 2

    async def set_rate(self, rate: int, queue_seconds: float = 0.05) -> None:
        self.done.append(f"rate {rate}, {queue_seconds} s")


class FakeSubject:
    """A guest whose commands are given, and that ends up at the destination."""

    name = "guest"

    def __init__(self, commands: list[list[str]], *, helped: bool = True) -> None:
        self._commands = commands
        self._helped = helped
        self.continuous = True
        self.clings = False
        self.beats: list[Record] = []
        """What is heard at the source."""
        self.looks: list[Sight] = []
        """What is seen next; then that it has arrived."""
        self.done: list[str] = []

    def migrate(self) -> list[str]:
        return self._commands.pop(0)

    def attach(self) -> list[str] | None:
        if not self._helped:
            return None
        return self._commands.pop(0) if self._commands else says()

    async def tell(self, come: Callable[[Moment], None]) -> None:
        pass

    async def strike(self, fault: Fault) -> Mend:
        self.done.append(f"{fault.kind} at {fault.side}")

        async def mend() -> None:
            self.done.append("mended")

        return mend

    async def look(self) -> Sight:
        return self.looks.pop(0) if self.looks else Sight((Copy(DESTINATION, "running", True),))

    async def verify(self) -> Verdict:
        return Verdict(0.0, 4096, 0, None)

    def observe(self, started_at: float, ended_at: float) -> Observation:
        return Observation(100.0, 0.02, 0.0, 0, False, False, self.continuous, 50, ())

    def heard(self, host: str) -> list[Record]:
        return [Beat(5.0, 1, 1.0, 1, 0)] if host == DESTINATION else self.beats

    def logs(self) -> Mapping[str, Path]:
        return {}

    async def remove(self) -> None:
        self.done.append("removed")
        if self.clings:
            raise UnavailableError("its daemon hangs")


class FakeFloor:
    name = "qemu"
    kinds = frozenset(Kind)

    def __init__(self, *subjects: FakeSubject) -> None:
        self.subjects = list(subjects)
        self.fake_link = FakeLink()
        self.done: list[str] = []

    async def up(self, progress: Callable[[str], None]) -> None:
        self.done.append("up")

    async def down(self) -> None:
        self.done.append("down")

    def link(self) -> DataLink:
        return cast(DataLink, self.fake_link)

    async def boot(self, plan: RunPlan) -> FakeSubject:
        if not self.subjects:
            raise UnavailableError("it does not boot")
        return self.subjects.pop(0)
