"""The two QEMUs of an interrupted post-copy, as far as monitors can tell."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from postcopy.errors import RetryableError
from postcopy.migration import Fate, Supervisor
from postcopy.migration.recovery import Half
from postcopy.policy import Immediate
from postcopy.qemu import MigrationOptions, Monitor, QemuDriver
from postcopy.qemu import rescue as rescue_module
from postcopy.qemu.rescue import QemuHalf, QemuRescue, half_of
from postcopy.testing import ScriptedError, ScriptedQmp

from .conftest import Pair

URI = "tcp:192.0.2.2:49152"


class Broken:
    """Two QEMUs whose post-copy has no connection any more; the source knows."""

    def __init__(self, directory: Path) -> None:
        self.source_says, self.destination_says = "postcopy-paused", "postcopy-active"
        self.source = ScriptedQmp(
            directory / "source",
            {
                "query-migrate": lambda arguments: {"status": self.source_says},
                "migrate-pause": ScriptedError("only during postcopy-active"),
                "migrate": self._resume,
            },
        )
        self.destination = ScriptedQmp(
            directory / "destination",
            {
                "query-migrate": lambda arguments: {"status": self.destination_says},
                "migrate-pause": self._pause,
                "migrate-recover": self._recover,
            },
        )

    def _pause(self, arguments: dict[str, Any]) -> dict[str, Any]:
        self.destination_says = "postcopy-paused"
        return {}

    def _recover(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if self.destination_says != "postcopy-paused":
            raise ScriptedError("Migrate recover can only be run when postcopy is paused.")
        return {}

    def _resume(self, arguments: dict[str, Any]) -> dict[str, Any]:
        assert arguments == {"uri": URI, "resume": True}
        self.source_says = self.destination_says = "postcopy-active"
        return {}


@pytest.fixture
async def broken(tmp_path: Path) -> AsyncIterator[Broken]:
    made = Broken(tmp_path)
    async with made.source, made.destination:
        yield made


async def rescue_of(broken: Broken) -> QemuRescue:
    halves = []
    for server in (broken.source, broken.destination):
        monitor = Monitor(server.path, server.path.name)
        await monitor.connect()
        halves.append(QemuHalf(monitor))
    return QemuRescue(halves[0], halves[1], URI)


async def let_go(rescue: QemuRescue) -> None:
    rescue.close()
    for half in (rescue.source, rescue.destination):
        await half.monitor.close()


async def test_both_are_paused_and_the_destination_listens_before_the_source_connects(
    broken: Broken,
) -> None:
    rescue = await rescue_of(broken)
    look = await rescue.look()
    assert (look.source, look.destination) == (Half.PAUSED, Half.ACTIVE)
    with pytest.raises(RetryableError, match="only be run when postcopy is paused"):
        await rescue.connect()
    assert "migrate" not in broken.source.commands
    await rescue.break_off(source=True, destination=True)
    await rescue.connect()
    look = await rescue.look()
    assert (look.source, look.destination) == (Half.ACTIVE, Half.ACTIVE)
    await let_go(rescue)


@pytest.mark.parametrize(
    ("refusals", "port"),
    [(2, 49152), (10, 49153), (12, 49155)],
    ids=["closed in a moment", "not closed while it hangs", "others are taken, too"],
)
async def test_a_port_that_is_not_closed_yet_is_asked_for_again(
    broken: Broken, monkeypatch: pytest.MonkeyPatch, refusals: int, port: int
) -> None:
    monkeypatch.setattr(rescue_module, "_CLOSING_SECONDS", 0.001)
    asked: list[str] = []

    def recover(arguments: dict[str, Any]) -> dict[str, Any]:
        asked.append(arguments["uri"])
        if len(asked) <= refusals:
            raise ScriptedError("Failed to find an available port: Address already in use")
        return {}

    def resume(arguments: dict[str, Any]) -> dict[str, Any]:
        resumed.append(arguments)
        return {}

    resumed: list[dict[str, Any]] = []
    broken.destination.replies["migrate-recover"] = recover
    broken.source.replies["migrate"] = resume
    rescue = await rescue_of(broken)
    await rescue.connect()
    assert asked[0] == URI
    assert asked[-1] == f"tcp:192.0.2.2:{port}"
    assert resumed == [{"uri": asked[-1], "resume": True}]
    await let_go(rescue)


async def test_ports_that_are_all_taken_are_an_error_to_try_again(
    broken: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescue_module, "_CLOSING_SECONDS", 0.001)
    broken.destination.replies["migrate-recover"] = ScriptedError("Address already in use")
    rescue = await rescue_of(broken)
    with pytest.raises(RetryableError, match="in use"):
        await rescue.connect()
    assert "migrate" not in broken.source.commands
    await let_go(rescue)


async def test_a_hung_destination_is_asked_once_and_recovered_past_it(
    broken: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescue_module, "_HUNG_SECONDS", 0.05)
    answer = asyncio.Event()

    async def hang(arguments: dict[str, Any]) -> dict[str, Any]:
        await answer.wait()
        return {"status": "postcopy-active"}

    broken.destination.replies["query-migrate"] = hang
    rescue = await rescue_of(broken)
    monkeypatch.setattr(rescue_module, "_STILL_HUNG_SECONDS", 0.001)
    loop = asyncio.get_running_loop()
    took = []
    for _ in range(3):
        began = loop.time()
        assert (await rescue.look()).destination is Half.HUNG
        took.append(loop.time() - began)
    assert broken.destination.commands.count("query-migrate") == 1
    assert took[0] >= 0.05, "it was given its time, once"
    answer.set()
    await asyncio.sleep(0)
    assert (await rescue.look()).destination is Half.ACTIVE
    await let_go(rescue)


async def test_a_qemu_that_is_gone_is_told_from_one_that_is_silent(broken: Broken) -> None:
    rescue = await rescue_of(broken)
    await rescue.source.monitor.close()
    broken.source.path.unlink()
    assert (await rescue.look()).source is Half.GONE
    await let_go(rescue)


@pytest.mark.parametrize(
    ("status", "half"),
    [
        ("postcopy-active", Half.ACTIVE),
        ("postcopy-recover-setup", Half.CONNECTING),
        ("completed", Half.DONE),
        ("failed", Half.GONE),
        ("active", Half.UNKNOWN),
        ("something-new", Half.UNKNOWN),
        ("cancelling", Half.UNKNOWN),
    ],
)
def test_words_of_qemu(status: str, half: Half) -> None:
    assert half_of(status) is half


async def test_another_path_is_taken_where_one_was_named() -> None:
    options = MigrationOptions(uri=URI, recover_uri="tcp:198.51.100.2:49152")
    endpoint = QemuDriver.of_record
    assert options.recover_uri is not None
    record = Pair(Path("/nowhere")).driver(recover_uri=options.recover_uri).record()
    assert endpoint(record).record() == record


async def test_a_migration_whose_connection_breaks_is_seen_to_its_end(pair: Pair) -> None:
    """Broken right after the switch, connected again, and then completed."""
    driver = pair.driver()

    def switched(arguments: dict[str, Any]) -> dict[str, Any]:
        pair.becomes("postcopy-paused", ram={"total": 100, "remaining": 50})
        pair.destination.replies["query-migrate"] = {"status": "postcopy-paused"}
        return {}

    def migrate(arguments: dict[str, Any]) -> dict[str, Any]:
        if arguments.get("resume"):
            pair.becomes("completed", ram={"total": 100})
            pair.destination.replies["query-status"] = {"status": "running"}
        else:
            pair.becomes("active", ram={"total": 100, "remaining": 100, "dirty-sync-count": 1})
        return {}

    pair.source.replies |= {"migrate-start-postcopy": switched, "migrate": migrate}
    pair.destination.replies["migrate-recover"] = {}
    outcome = await Supervisor(driver, Immediate()).run()
    await driver.close()
    assert (outcome.fate, outcome.recoveries) == (Fate.COMPLETED, 1)
    assert pair.destination.commands.count("migrate-recover") == 1
