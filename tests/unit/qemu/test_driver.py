import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from postcopy.errors import OutcomeUnknownError, RefusedError, UnavailableError, UsageError
from postcopy.migration import Fate, Look, Phase, Sample, Supervisor
from postcopy.policy import AfterFirstPass
from postcopy.qemu import MigrationOptions, Monitor, QemuDriver
from postcopy.testing import ScriptedError, ScriptedQmp

from .conftest import Pair, schema


def switched_on(server: ScriptedQmp) -> set[str]:
    return {
        wanted["capability"]
        for command, arguments in zip(server.commands, server.arguments, strict=True)
        if command == "migrate-set-capabilities"
        for wanted in arguments["capabilities"]
        if wanted["state"]
    }


async def test_start_arms_both_sides_and_listens_before_it_connects(pair: Pair) -> None:
    driver = pair.driver()
    await driver.start()
    await driver.close()
    wanted = {"events", "postcopy-ram", "postcopy-preempt", "postcopy-blocktime"}
    assert driver.enabled == wanted
    assert switched_on(pair.source) == switched_on(pair.destination) == wanted
    assert pair.source.commands[-1] == "migrate"
    assert pair.destination.commands[-1] == "migrate-incoming"


async def test_only_what_both_sides_offer_is_switched_on(pair: Pair) -> None:
    pair.source.replies["query-qmp-schema"] = schema("events", "postcopy-ram", "postcopy-preempt")
    pair.destination.replies["query-qmp-schema"] = schema("events", "postcopy-ram")
    driver = pair.driver()
    await driver.start()
    await driver.close()
    assert driver.enabled == {"events", "postcopy-ram"}


async def test_a_wish_that_one_side_rejects_is_left_off_on_both(pair: Pair, refuses: Any) -> None:
    pair.source.replies["migrate-set-capabilities"] = refuses("postcopy-preempt", "no")
    driver = pair.driver()
    await driver.start()
    await driver.close()
    assert "postcopy-preempt" not in driver.enabled
    last = [
        wanted["state"]
        for command, arguments in zip(
            pair.destination.commands, pair.destination.arguments, strict=True
        )
        if command == "migrate-set-capabilities"
        for wanted in arguments["capabilities"]
        if wanted["capability"] == "postcopy-preempt"
    ][-1]
    assert last is False


async def test_a_destination_without_userfaultfd_is_refused_before_anything_moves(
    pair: Pair, refuses: Any
) -> None:
    pair.destination.replies["migrate-set-capabilities"] = refuses(
        "postcopy-ram", "Postcopy is not supported"
    )
    driver = pair.driver()
    with pytest.raises(RefusedError, match=r"beta.*Postcopy is not supported") as caught:
        await driver.start()
    await driver.close()
    assert "userfaultfd" in caught.value.hint
    assert "migrate" not in pair.source.commands


async def test_a_qemu_that_does_not_know_postcopy_is_refused(pair: Pair) -> None:
    pair.source.replies["query-qmp-schema"] = schema("events")
    driver = pair.driver()
    with pytest.raises(RefusedError, match="alpha does not know the capability postcopy-ram"):
        await driver.start()
    await driver.close()


async def test_plain_precopy_leaves_postcopy_off(pair: Pair) -> None:
    driver = pair.driver(postcopy=False)
    await driver.start()
    assert driver.enabled == {"events"}
    with pytest.raises(RefusedError, match="not armed"):
        await driver.switch()
    await driver.close()


@pytest.mark.parametrize("status", ["active", "postcopy-active", "postcopy-paused", "a-new-word"])
async def test_a_guest_on_the_move_is_not_started_again(pair: Pair, status: str) -> None:
    pair.becomes(status)
    driver = pair.driver()
    with pytest.raises(RefusedError, match=f"already migrating \\({status}\\)"):
        await driver.start()
    await driver.close()
    assert "migrate" not in pair.source.commands


@pytest.mark.parametrize("status", ["failed", "cancelled"])
async def test_an_earlier_attempt_that_ended_is_no_obstacle(pair: Pair, status: str) -> None:
    pair.becomes(status)
    driver = pair.driver()
    await driver.start()
    await driver.close()


async def test_guards_on_both_ends(pair: Pair) -> None:
    pair.source.replies["query-status"] = {"status": "paused"}
    driver = pair.driver()
    with pytest.raises(RefusedError, match="paused, not running"):
        await driver.start()
    await driver.close()

    pair.source.replies["query-status"] = {"status": "running"}
    pair.destination.replies["query-status"] = {"status": "running"}
    driver = pair.driver()
    with pytest.raises(RefusedError, match="not waiting for a guest"):
        await driver.start()
    await driver.close()

    pair.migration = {"blocked-reasons": ["a VFIO device"]}
    driver = pair.driver()
    with pytest.raises(RefusedError, match="a VFIO device"):
        await driver.start()
    await driver.close()


async def play(pair: Pair, driver: QemuDriver) -> AsyncIterator[Sample]:
    await driver.start()
    async for sample in driver.samples():
        yield sample
    await driver.close()


async def test_a_pass_end_is_sampled_when_it_is_announced(pair: Pair) -> None:
    seen: list[Sample] = []
    async for sample in play(pair, pair.driver()):
        seen.append(sample)
        if len(seen) == 1:
            await pair.source.emit("MIGRATION_PASS", {"pass": 1})
            await pair.source.emit("MIGRATION_PASS", {"pass": 2})
        if sample.pass_ended:
            pair.becomes("completed")
            pair.destination.replies["query-status"] = {"status": "running"}
    assert [sample.pass_ended for sample in seen].count(True) == 1
    ended = next(sample for sample in seen if sample.pass_ended)
    assert ended.pass_ended_at is not None
    assert 0 <= ended.at - ended.pass_ended_at < 1.0
    assert seen[-1].phase is Phase.COMPLETED


@pytest.mark.parametrize("postcopy", [True, False])
async def test_a_guest_that_may_be_switched_is_looked_at_meanwhile(
    pair: Pair, postcopy: bool
) -> None:
    rate = {"status": "measured", "dirty-rate": 40, "calc-time-unit": "second"}
    pair.source.replies.update({"calc-dirty-rate": {}, "query-dirty-rate": rate})
    looks: list[Look] = []
    number = 0
    async for sample in play(pair, pair.driver(postcopy=postcopy)):
        if number == 0:
            ram = {"total": 10**9, "remaining": 10**9, "dirty-sync-count": 1, "mbps": 800}
            pair.becomes("active", ram=ram)
        looks += sample.looks
        number += 1
        if looks or number == 8:
            pair.becomes("completed")
            pair.destination.replies["query-status"] = {"status": "running"}
    assert [each.seconds for each in looks] == ([0.25] if postcopy else [])
    assert ("calc-dirty-rate" in pair.source.commands) is postcopy


async def test_completed_is_believed_when_the_guest_runs(pair: Pair) -> None:
    async def arrives() -> None:
        await asyncio.sleep(0.2)
        pair.destination.replies["query-status"] = {"status": "running"}

    async for sample in play(pair, pair.driver()):
        if sample.phase is Phase.PRECOPY:
            pair.becomes("completed")
            task = asyncio.create_task(arrives())
    assert sample.phase is Phase.COMPLETED
    assert task.done()


async def test_a_destination_that_dies_at_the_end_is_not_called_completed(pair: Pair) -> None:
    def dies(arguments: dict[str, Any]) -> dict[str, Any]:
        if pair.migration["status"] == "completed":
            pair.destination.hang_up()
        return {"status": "inmigrate"}

    pair.destination.replies["query-status"] = dies
    driver = pair.driver()
    await driver.start()
    async for sample in driver.samples():
        pair.becomes("completed")
        if sample.phase is Phase.UNKNOWN:
            break
    await driver.close()
    assert sample.phase is Phase.UNKNOWN
    assert "is not seen running" in sample.error


async def test_a_state_never_heard_of_does_not_end_the_watch(pair: Pair) -> None:
    phases: list[Phase] = []
    script = iter(["postcopy-teleporting", "postcopy-active", "completed"])
    async for sample in play(pair, pair.driver()):
        phases.append(sample.phase)
        if (status := next(script, None)) is not None:
            pair.becomes(status)
            pair.destination.replies["query-status"] = {"status": "running"}
    assert phases == [Phase.PRECOPY, Phase.UNKNOWN, Phase.POSTCOPY, Phase.COMPLETED]


async def test_cancel_looks_before_it_acts(pair: Pair) -> None:
    driver = pair.driver()
    await driver.start()
    pair.becomes("postcopy-active")
    with pytest.raises(RefusedError, match="would destroy it"):
        await driver.cancel()
    assert "migrate_cancel" not in pair.source.commands
    pair.becomes("active")
    await driver.cancel()
    assert pair.source.commands[-1] == "migrate_cancel"
    await driver.close()


@pytest.mark.parametrize("status", ["failed", "cancelled"])
async def test_one_that_was_called_off_ends_so_whatever_qemu_calls_it(
    pair: Pair, status: str
) -> None:
    def cancel(arguments: dict[str, Any]) -> dict[str, Any]:
        pair.becomes(status, **{"error-desc": "Channel error: Input/output error"})
        return {}

    pair.source.replies["migrate_cancel"] = cancel
    driver = pair.driver()
    supervisor = Supervisor(driver, AfterFirstPass())
    supervisor.ask_to_cancel()
    outcome = await supervisor.run()
    await driver.close()
    assert (outcome.fate, outcome.error) == (Fate.CANCELLED, "")


async def test_a_failure_that_nobody_asked_for_keeps_its_words(pair: Pair) -> None:
    samples = play(pair, pair.driver())
    await anext(samples)
    pair.becomes("failed", **{"error-desc": "Channel error: Input/output error"})
    last = [sample async for sample in samples][-1]
    assert (last.phase, last.error) == (Phase.FAILED, "Channel error: Input/output error")


async def test_a_source_that_dies_is_told_and_not_mistaken_for_success(pair: Pair) -> None:
    samples = play(pair, pair.driver())
    first = await anext(samples)
    assert first.phase is Phase.PRECOPY
    pair.source.hang_up()
    last = [sample async for sample in samples][-1]
    assert last.phase is Phase.FAILED
    assert "alpha" in last.error


async def test_a_source_that_dies_in_postcopy_is_a_failure_though_the_guest_runs(
    pair: Pair,
) -> None:
    samples = play(pair, pair.driver())
    await anext(samples)
    pair.becomes("postcopy-active")
    pair.destination.replies["query-status"] = {"status": "running"}
    async for sample in samples:
        if sample.phase is Phase.POSTCOPY:
            pair.source.hang_up()
    assert sample.phase is Phase.FAILED


async def test_under_a_supervisor(pair: Pair) -> None:
    def switches(arguments: dict[str, Any]) -> dict[str, Any]:
        pair.becomes("completed", **{"total-time": 4000, "ram": {"transferred": 7}})
        pair.destination.replies["query-status"] = {"status": "running"}
        return {}

    async def ends_a_pass() -> None:
        await asyncio.sleep(0.15)
        await pair.source.emit("MIGRATION_PASS", {"pass": 2})

    pair.source.replies["migrate-start-postcopy"] = switches
    driver = pair.driver()
    task = asyncio.create_task(ends_a_pass())
    outcome = await Supervisor(driver, AfterFirstPass()).run()
    await driver.close()
    assert task.done()
    assert outcome.fate is Fate.COMPLETED
    assert outcome.figures.total_seconds == 4.0
    assert outcome.switch_latency_seconds is not None
    assert 0 <= outcome.switch_latency_seconds < 1.0


async def test_a_record_leads_back(pair: Pair) -> None:
    driver = pair.driver(bandwidth=5_000_000)
    again = QemuDriver.of_record(driver.record())
    assert again.record() == driver.record()
    pair.becomes("postcopy-active")
    await again.attach()
    assert (await anext(aiter(again.samples()))).phase is Phase.POSTCOPY
    assert "migrate" not in pair.source.commands
    await again.close()


async def test_a_missing_monitor_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"alpha at .*nowhere"):
        await Monitor(tmp_path / "nowhere", "alpha").connect()


async def test_a_monitor_that_somebody_else_holds_is_explained(pair: Pair) -> None:
    first, second = (Monitor(pair.source.path, "alpha") for _ in range(2))
    await first.connect()
    with pytest.raises(UnavailableError, match="does not greet") as caught:
        await second.connect(0.2)
    assert "one client" in caught.value.hint
    await first.close()


async def test_what_was_left_over_for_another_client_is_no_obstacle(pair: Pair) -> None:
    pair.source.leftovers = [{"event": "RESUME", "timestamp": {"seconds": 0, "microseconds": 0}}]
    monitor = Monitor(pair.source.path, "alpha")
    await monitor.connect()
    assert await monitor.execute("query-status") == {"status": "running"}
    await monitor.close()


async def test_an_answer_that_never_comes_leaves_the_outcome_unknown(pair: Pair) -> None:
    async def never(arguments: dict[str, Any]) -> None:
        await asyncio.sleep(60)

    pair.source.replies["migrate-start-postcopy"] = never
    monitor = Monitor(pair.source.path, "alpha")
    await monitor.connect()
    with pytest.raises(OutcomeUnknownError, match="migrate-start-postcopy"):
        await monitor.execute("migrate-start-postcopy", seconds=0.1)
    await monitor.close()


async def test_a_refused_command_keeps_the_reason(pair: Pair) -> None:
    pair.source.replies["migrate-start-postcopy"] = ScriptedError("Enable postcopy before")
    driver = pair.driver()
    await driver.start()
    with pytest.raises(Exception, match="refused migrate-start-postcopy: Enable postcopy before"):
        await driver.switch()
    await driver.close()


@pytest.mark.parametrize("options", [{"uri": "nonsense"}, {"downtime_limit": 0.0}])
def test_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        MigrationOptions(**{"uri": "tcp:192.0.2.2:1", **options})
