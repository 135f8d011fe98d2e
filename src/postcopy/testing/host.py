"""A host that is a list of answers: for tests of what is done to hosts, and for benches."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from postcopy.clock import Clock
from postcopy.errors import UnavailableError
from postcopy.hosts.spec import LocalSpec
from postcopy.probe.main import BEGIN, END, FORMAT
from postcopy.processes import Completed
from postcopy.testing.clock import FakeClock

__all__ = ["FakeHost"]


class FakeHost:
    """Answers every probe with the same sections, as far away and as slow as it is made.

    :param sections: what its floors have to say, by name.
    :param said: the raw output instead, for a host that answers nonsense.
    :param error: why it cannot be reached, for one that cannot.
    :param latency_seconds: one way. The first command takes four more ways, for a connection.
    :param work_seconds: how long the probe takes there.
    :param about: what else its answer says: ``host``, ``uid``, ``now``, ``identity``.
    """

    def __init__(
        self,
        name: str = LocalSpec().name,
        sections: Mapping[str, Any] | None = None,
        *,
        said: str | None = None,
        error: str = "",
        latency_seconds: float = 0.0,
        work_seconds: float = 0.0,
        clock: Clock | None = None,
        **about: Any,
    ) -> None:
        self.name = name
        self.commands: list[tuple[str, ...]] = []
        """What was run here."""
        self.closed = False
        self._said = said
        self._error = error
        self._latency = latency_seconds
        self._work = work_seconds
        self._clock = clock or FakeClock()
        self._answer = {
            "probe": FORMAT,
            "host": name,
            "identity": name,
            "uid": 0,
            "python": "3.13.5",
            "seconds": work_seconds,
            "sections": dict(sections or {}),
            **about,
        }

    async def run(
        self, *argv: str, stdin: str | None = None, seconds: float | None = None
    ) -> Completed:
        first = not self.commands
        self.commands.append(argv)
        ways = 6 if first else 2
        await self._clock.sleep(ways * self._latency)
        if self._error:
            raise UnavailableError(f"cannot use host {self.name}: {self._error}", hint="is it up?")
        await self._clock.sleep(self._work)
        said = self._said
        if said is None:
            answer = {"now": self._clock.now(), **self._answer}
            said = f"{BEGIN}\n{json.dumps(answer)}\n{END}\n"
        return Completed(0, said, "")

    async def socket(self, path: str) -> Path:
        return Path(path)

    async def close(self) -> None:
        self.closed = True
