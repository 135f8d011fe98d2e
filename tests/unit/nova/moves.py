"""A cloud to move a server in, and a supervisor that does it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from postcopy.migration.decision import Action, Decision, History
from postcopy.migration.event import Event, Noted, SampleTaken
from postcopy.migration.outcome import Outcome
from postcopy.migration.phase import Phase
from postcopy.migration.supervisor import Supervisor
from postcopy.nova.api import NovaApi
from postcopy.nova.driver import NovaDriver
from postcopy.nova.permission import GIVEN
from postcopy.testing import FakeClock, FakeCloud, FakeNova


@dataclass(frozen=True)
class SwitchAfter:
    """Switches once memory has moved for so long; never if None."""

    seconds: float | None
    name: str = "switch-after"

    @property
    def uses_postcopy(self) -> bool:
        return self.seconds is not None

    def decide(self, history: History) -> Decision:
        if self.seconds is not None and history.elapsed_seconds >= self.seconds:
            return Decision(Action.SWITCH, "time is up")
        return Decision(Action.CONTINUE, "not yet")


@dataclass
class World:
    """What a test has at hand."""

    nova: FakeNova
    clock: FakeClock
    clouds_file: Path
    events: list[Event] = field(default_factory=list)

    @property
    def cloud(self) -> FakeCloud:
        return self.nova.cloud

    def api(self, **more: Any) -> NovaApi:
        return NovaApi("fake", str(self.clouds_file), **more)

    def driver(self, host: str | None = "beta", **more: Any) -> NovaDriver:
        given = {"permission": GIVEN, "clock": self.clock, **more}
        return NovaDriver("web1", host, self.api(), **given)

    def supervisor(self, driver: NovaDriver, switch_after: float | None) -> Supervisor:
        return Supervisor(
            driver, SwitchAfter(switch_after), clock=self.clock, observe=self.events.append
        )

    async def move(
        self, switch_after: float | None = 20.0, host: str | None = "beta", **more: Any
    ) -> Outcome:
        driver = self.driver(host, **more)
        try:
            return await self.supervisor(driver, switch_after).run()
        finally:
            await driver.close()

    @property
    def phases(self) -> list[Phase]:
        """What was seen, each once, in order."""
        seen = [event.sample.phase for event in self.events if isinstance(event, SampleTaken)]
        return [p for i, p in enumerate(seen) if i == 0 or seen[i - 1] is not p]

    @property
    def statuses(self) -> list[str]:
        return [event.sample.status for event in self.events if isinstance(event, SampleTaken)]

    @property
    def notes(self) -> str:
        return "\n".join(event.text for event in self.events if isinstance(event, Noted))

    def asked(self, method: str, part: str) -> int:
        """Count requests."""
        return sum(m == method and part in path for m, path, _ in self.nova.requests)


@contextlib.contextmanager
def world(directory: Path, **cloud: Any) -> Iterator[World]:
    clock = FakeClock()
    with FakeNova(FakeCloud(clock, **cloud)) as nova:
        yield World(nova, clock, nova.write_clouds(directory / "clouds.yaml"))
