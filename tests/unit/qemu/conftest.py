"""Two scripted QEMUs that share one migration, as far as a monitor can tell."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from postcopy.qemu import Endpoint, MigrationOptions, QemuDriver
from postcopy.testing import ScriptedError, ScriptedQmp

CAPABILITIES = ("events", "postcopy-ram", "postcopy-preempt", "postcopy-blocktime", "multifd")


def schema(*capabilities: str) -> list[dict[str, Any]]:
    """Return as much of a ``query-qmp-schema`` answer as says which capabilities there are."""
    return [
        {"name": "migrate-set-capabilities", "meta-type": "command", "arg-type": "1"},
        {"name": "1", "meta-type": "object", "members": [{"name": "capabilities", "type": "[2]"}]},
        {"name": "[2]", "meta-type": "array", "element-type": "2"},
        {"name": "2", "meta-type": "object",
         "members": [{"name": "capability", "type": "3"}, {"name": "state", "type": "bool"}]},
        {"name": "3", "meta-type": "enum", "members": [{"name": name} for name in capabilities]},
    ]  # fmt: skip


class Pair:
    """Both sides, and the answers that the source gives about the migration."""

    def __init__(self, directory: Path) -> None:
        self.migration: dict[str, Any] = {"status": "none"}
        common = {"migrate-set-capabilities": {}, "query-qmp-schema": schema(*CAPABILITIES)}
        self.source = ScriptedQmp(
            directory / "source",
            {
                **common,
                "query-migrate": lambda arguments: self.migration,
                "query-status": {"status": "running"},
                "migrate-set-parameters": {},
                "migrate": self._start,
                "migrate-start-postcopy": {},
                "migrate_cancel": {},
            },
        )
        self.destination = ScriptedQmp(
            directory / "destination",
            {
                **common,
                "query-migrate": {},
                "query-status": {"status": "inmigrate"},
                "migrate-incoming": {},
            },
        )
        self.ends = (Endpoint("alpha", self.source.path), Endpoint("beta", self.destination.path))

    def driver(self, **options: Any) -> QemuDriver:
        """Return a driver between the two."""
        return QemuDriver(*self.ends, MigrationOptions(uri="tcp:192.0.2.2:49152", **options))

    def becomes(self, status: str, **more: Any) -> None:
        """Change what the source says of the migration."""
        self.migration = {"status": status, **more}

    def _start(self, arguments: dict[str, Any]) -> dict[str, Any]:
        self.becomes("active", ram={"total": 100, "remaining": 100, "dirty-sync-count": 1})
        return {}


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    made = Pair(tmp_path)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(made.source)
        await stack.enter_async_context(made.destination)
        yield made


@pytest.fixture
def refuses() -> Callable[[str, str], Callable[[dict[str, Any]], dict[str, Any]]]:
    """Make a reply to ``migrate-set-capabilities`` that rejects one of them."""

    def make(name: str, reason: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        def reply(arguments: dict[str, Any]) -> dict[str, Any]:
            for wanted in arguments["capabilities"]:
                if wanted["capability"] == name and wanted["state"]:
                    raise ScriptedError(reason)
            return {}

        return reply

    return make
