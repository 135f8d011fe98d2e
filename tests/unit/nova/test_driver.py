"""Servers moved by a Nova that shows and hides what the real one does."""

from itertools import pairwise
from pathlib import Path

import pytest

from postcopy.errors import (
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RefusedError,
    UnavailableError,
    UsageError,
)
from postcopy.migration.event import SampleTaken
from postcopy.migration.outcome import Fate
from postcopy.migration.phase import Phase
from postcopy.migration.supervisor import Supervisor
from postcopy.nova.driver import NovaDriver
from postcopy.nova.permission import NOT_KNOWN, Effect, Permission
from postcopy.policy import Adaptive

from .moves import world

P = Phase
PAUSES = Permission(Effect.PAUSE, "nova.conf says so")


@pytest.mark.parametrize("release", [26, 31])
async def test_a_busy_server_moves_by_post_copy(tmp_path: Path, release: int) -> None:
    with world(tmp_path, release=release) as w:
        outcome = await w.move()
    assert outcome.fate is Fate.COMPLETED
    assert w.phases == [P.SETUP, P.PRECOPY, P.POSTCOPY, P.COMPLETED]
    assert "running (post-copy)" in w.statuses
    assert w.asked("POST", "/action") == 2  # the migration, and one switch
    assert w.cloud.server is not None
    assert w.cloud.server["OS-EXT-SRV-ATTR:host"] == "beta"


async def test_one_that_converges_needs_no_switch(tmp_path: Path) -> None:
    with world(tmp_path, hot_bytes=0) as w:
        outcome = await w.move(switch_after=None)
    assert outcome.fate is Fate.COMPLETED
    assert w.phases == [P.SETUP, P.PRECOPY, P.COMPLETED]


async def test_the_scheduler_chooses(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        driver = w.driver(None)
        outcome = await w.supervisor(driver, 10.0).run()
        assert (outcome.fate, driver.destination) == (Fate.COMPLETED, "beta")


@pytest.mark.parametrize("hot_mib", [32, 96, 256])
async def test_passes_are_worked_out_from_figures_that_are_five_seconds_old(
    tmp_path: Path, hot_mib: int
) -> None:
    """At 32 MiB/s they last 1, 3 and 8 s; each is sent anew, and none shrinks."""
    with world(tmp_path, hot_bytes=hot_mib << 20) as w:
        await w.move(switch_after=120.0)
    samples = [e.sample for e in w.events if isinstance(e, SampleTaken)]
    ended = [s for s in samples if s.pass_ended][4:]
    assert len(ended) > 3
    sizes = [s.remaining_bytes / (hot_mib << 20) for s in ended]
    assert min(sizes) > 0.4
    assert max(sizes) < 1.6
    spans = [b.at - a.at for a, b in pairwise(ended)]
    bandwidth = 32 << 20
    for one, seconds in zip(ended[1:], spans, strict=True):
        assert seconds == pytest.approx(one.remaining_bytes / bandwidth, rel=1.0)
    rates = [s.bandwidth for s in samples if s.phase is P.PRECOPY and s.bandwidth]
    assert min(rates) > 20e6
    assert max(rates) < 45e6


@pytest.mark.parametrize("hot_mib", [32, 96, 256])
async def test_the_adaptive_policy_is_not_fooled_by_them(tmp_path: Path, hot_mib: int) -> None:
    with world(tmp_path, hot_bytes=hot_mib << 20) as w:
        driver = w.driver()
        outcome = await Supervisor(driver, Adaptive(), clock=w.clock).run()
    assert outcome.fate is Fate.COMPLETED
    assert outcome.switched_at is not None
    assert outcome.switched_at - outcome.started_at < 90


# --- what a switch does -------------------------------------------------------------------------


@pytest.mark.parametrize(("permission", "word"), [(NOT_KNOWN, "may"), (PAUSES, "would")])
async def test_no_pause_without_a_word(tmp_path: Path, permission: Permission, word: str) -> None:
    with world(tmp_path) as w:
        driver = w.driver(permission=permission)
        await driver.check()
        with pytest.raises(RefusedError, match=f"{word} pause server 'web1'") as error:
            driver.check_switch()
        assert "--allow-pause" in error.value.hint


async def test_a_pause_that_was_allowed_is_told(tmp_path: Path) -> None:
    with world(tmp_path, permitted=False) as w:
        outcome = await w.move(permission=PAUSES, allow_pause=True)
    assert outcome.fate is Fate.COMPLETED
    assert "paused to end pre-copy: post-copy is not permitted on alpha" in w.notes
    assert P.POSTCOPY not in w.phases
    assert w.asked("POST", "/migrations/") == 1


async def test_nova_does_not_tell_a_pause_from_a_switch_that_it_has_dropped(tmp_path: Path) -> None:
    with world(tmp_path, permitted=False) as w:
        outcome = await w.move(5.0, permission=NOT_KNOWN, allow_pause=True)
    assert outcome.fate is Fate.COMPLETED
    assert "not made it, unless the guest is paused: asking again" in w.notes
    assert "was paused" not in w.notes


async def test_a_switch_that_is_not_permitted_leaves_the_migration_alone(tmp_path: Path) -> None:
    with world(tmp_path, hot_bytes=0) as w:
        driver = w.driver(permission=PAUSES)
        supervisor = w.supervisor(driver, None)
        supervisor.ask_to_switch()
        outcome = await supervisor.run()
    assert outcome.fate is Fate.COMPLETED
    assert "switch was refused: Nova would pause" in w.notes
    assert w.asked("POST", "/migrations/") == 0


async def test_a_switch_that_nova_did_not_make_is_asked_for_again(tmp_path: Path) -> None:
    with world(tmp_path, deaf_seconds=40.0) as w:
        outcome = await w.move(switch_after=5.0)
    assert outcome.fate is Fate.COMPLETED
    assert "asking again" in w.notes
    assert w.asked("POST", "/migrations/") > 1
    assert P.POSTCOPY in w.phases


async def test_novas_own_time_out_is_followed_and_not_fought(tmp_path: Path) -> None:
    with world(tmp_path, timeout_seconds=20.0) as w:
        outcome = await w.move(switch_after=None)
    assert outcome.fate is Fate.COMPLETED
    assert "Nova has gone over to post-copy by itself" in w.notes
    assert w.asked("POST", "/migrations/") == 0


async def test_a_switch_comes_too_late(tmp_path: Path) -> None:
    """Nova has switched between a sample and the decision about it."""
    with world(tmp_path, timeout_seconds=10.0) as w:
        driver = w.driver()
        await driver.start()
        async for sample in driver.samples():
            if sample.phase is P.PRECOPY:
                await w.clock.sleep(9.0)
                await driver.switch()
        assert sample.phase is P.COMPLETED


# --- calling it off -----------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["failed", "cancelled"])
async def test_called_off_in_pre_copy(tmp_path: Path, word: str) -> None:
    with world(tmp_path) as w:
        w.cloud.aborted_as = word
        driver = w.driver()
        await driver.start()
        seen = []
        async for sample in driver.samples():
            seen.append(sample.phase)
            if sample.phase is P.PRECOPY and not w.asked("DELETE", "/migrations/"):
                await driver.cancel()
    assert seen[-1] is P.CANCELLED
    assert w.cloud.server is not None
    assert w.cloud.server["OS-EXT-SRV-ATTR:host"] == "alpha"


async def test_called_off_before_nova_can_is_done_as_soon_as_it_can(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        driver = w.driver()
        supervisor = w.supervisor(driver, None)
        supervisor.ask_to_cancel()
        outcome = await supervisor.run()
    assert outcome.fate is Fate.CANCELLED


async def test_post_copy_is_not_called_off(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        driver = w.driver()
        await driver.start()
        async for sample in driver.samples():
            if sample.phase is P.PRECOPY:
                await driver.switch()
            elif sample.phase is P.POSTCOPY:
                break
        with pytest.raises(RefusedError, match="on both hosts"):
            await driver.cancel()
        assert w.asked("DELETE", "/migrations/") == 0


async def test_nova_gives_up_by_itself(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        w.cloud.aborted_as = "cancelled"
        w.cloud.later.append((15.0, lambda: w.cloud.latest.orders.append("abort")))
        outcome = await w.move(switch_after=None)
    assert outcome.fate is Fate.CANCELLED
    assert "live_migration_completion_timeout" in outcome.error


# --- every end ----------------------------------------------------------------------------------


async def test_no_host_is_found(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        w.cloud.later.append((0.5, lambda: w.cloud.refuse("No valid host was found.")))
        outcome = await w.move()
    assert (outcome.fate, outcome.error) == (Fate.FAILED, "No valid host was found.")
    assert "alpha" in outcome.hint


async def test_rolled_back_after_nova_had_said_post_copy(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        w.cloud.later.append((40.0, lambda: w.cloud.roll_back("the link was dead")))
        w.cloud.bandwidth /= 10
        outcome = await w.move(switch_after=10.0)
    assert P.POSTCOPY in w.phases
    assert (outcome.fate, outcome.error) == (Fate.FAILED, "the link was dead")
    assert "goes on at alpha" in outcome.hint


async def test_nova_compute_was_started_again_in_post_copy(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        w.cloud.bandwidth /= 10
        w.cloud.later.append((40.0, w.cloud.restart_compute))
        outcome = await w.move(switch_after=10.0)
    assert outcome.fate is Fate.UNKNOWN
    assert "may be at beta all the same" in outcome.error
    assert "virsh list" in outcome.hint


async def test_deleted_meanwhile(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        w.cloud.later.append((12.0, lambda: setattr(w.cloud, "server", None)))
        outcome = await w.move()
    assert outcome.fate is Fate.FAILED
    assert "deleted meanwhile" in outcome.error


async def test_no_progress_in_post_copy_is_told(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        w.cloud.stuck = True
        w.cloud.later.append((150.0, lambda: setattr(w.cloud, "stuck", False)))
        outcome = await w.move(switch_after=10.0)
    assert outcome.fate is Fate.COMPLETED
    assert "was it interrupted?" in w.notes


async def test_it_waits_in_the_queue(tmp_path: Path) -> None:
    with world(tmp_path, queued_seconds=30.0) as w:
        outcome = await w.move()
    assert outcome.fate is Fate.COMPLETED
    assert "queued: waiting for its turn to leave the host" in w.statuses


# --- an API that fails --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["500", "503", "silence"])
@pytest.mark.parametrize("after", [8.0, 30.0])
async def test_a_minute_without_an_answer_is_ridden_out(
    tmp_path: Path, how: str, after: float
) -> None:
    with world(tmp_path) as w:
        w.nova.fail(how, after, 60.0)
        outcome = await w.move(switch_after=20.0)
    assert outcome.fate is Fate.COMPLETED
    assert P.UNKNOWN in w.phases
    assert "Nova answers again, after 6" in w.notes


async def test_an_api_that_stays_away(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        w.nova.fail("silence", 10.0, 10_000.0)
        outcome = await w.move()
    assert outcome.fate is Fate.UNKNOWN
    assert "has not answered for 180 s" in outcome.error
    assert "postcopy attach web1" in outcome.hint


@pytest.mark.parametrize("how", ["lost", "500"])
async def test_an_answer_that_was_lost_is_looked_up(tmp_path: Path, how: str) -> None:
    """Nova fails to answer, and has begun the migration or has not."""
    with world(tmp_path) as w:
        driver = w.driver()
        check = driver.check

        async def then_fail() -> None:
            await check()
            w.nova.fail(how, 0.0, 3.0)

        driver.check = then_fail  # type: ignore[method-assign]
        if how == "lost":
            assert (await w.supervisor(driver, 10.0).run()).fate is Fate.COMPLETED
            return
        with pytest.raises(OutcomeUnknownError, match="Unexpected API Error"):
            await driver.start()
        assert w.cloud.migrations == []


async def test_an_error_of_our_own_is_not_taken_for_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise TypeError("ours")

    with world(tmp_path) as w:
        driver = w.driver()
        await driver.start()
        monkeypatch.setattr(driver._api, "look", broken)
        with pytest.raises(TypeError, match="ours"):
            await w.supervisor(driver, None).run(attach=True)


async def test_an_api_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        api = w.api(seconds=0.2)
        await api.losses()
        assert w.cloud.server is not None
        w.nova.fail("hang", 0.0, 10.0)
        with pytest.raises(UnavailableError, match="does not answer"):
            await api.server("web1")
        # What was to be done may have been done.
        with pytest.raises(OutcomeUnknownError, match="answer was lost"):
            await api.live_migrate(w.cloud.server["id"], "beta")


async def test_tokens_expire_on_the_way(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        for when in (10.0, 25.0):
            w.cloud.later.append((when, w.nova.expire_tokens))
        outcome = await w.move()
    assert outcome.fate is Fate.COMPLETED
    assert w.nova.logins == 3
    assert P.UNKNOWN not in w.phases


async def test_a_wrong_password(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        text = w.clouds_file.read_text().replace("open sesame", "guess")
        w.clouds_file.write_text(text)
        with pytest.raises(PermissionDeniedError, match="Keystone refuses"):
            await w.move()


async def test_nobody_is_there(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        driver = w.driver()
    with pytest.raises(UnavailableError, match="'fake' does not answer"):
        await driver.check()


async def test_a_cloud_of_another_name(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        api = type(w.api())("other", str(w.clouds_file))
        with pytest.raises(UsageError, match="cloud 'other'") as error:
            await NovaDriver("web1", None, api).check()
        assert "OS_CLOUD" in error.value.hint


# --- what is asked for makes no sense -----------------------------------------------------------


async def test_another_server(tmp_path: Path) -> None:
    with world(tmp_path) as w, pytest.raises(NotFoundError, match="no server 'web'"):
        await NovaDriver("web", None, w.api(), clock=w.clock).check()


async def test_it_is_there_already(tmp_path: Path) -> None:
    with world(tmp_path) as w, pytest.raises(UsageError, match="is on alpha already"):
        await w.move(host="alpha")


async def test_a_host_that_nova_does_not_know(tmp_path: Path) -> None:
    with world(tmp_path) as w, pytest.raises(RefusedError, match="gamma could not be found"):
        await w.move(host="gamma")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"OS-EXT-SRV-ATTR:host": None, "status": "SHELVED_OFFLOADED"}, "is on no host"),
        ({"OS-EXT-STS:task_state": "migrating"}, "is busy: migrating"),
        ({"status": "SHUTOFF"}, "only a running one moves live"),
    ],
)
async def test_a_server_that_cannot_move(
    tmp_path: Path, fields: dict[str, object], words: str
) -> None:
    with world(tmp_path) as w:
        assert w.cloud.server is not None
        w.cloud.server |= fields
        with pytest.raises(RefusedError, match=words):
            await w.move()
        assert w.cloud.migrations == []


async def test_a_locked_server_is_told(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        assert w.cloud.server is not None
        w.cloud.server["locked"] = True
        await w.move()
    assert "is locked" in w.notes


# --- attach -------------------------------------------------------------------------------------


async def test_another_process_goes_on(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        first = w.driver()
        await first.check()
        record = dict(first.record())  # as the journal has it: before it is begun
        await first.start()
        await w.clock.sleep(12.0)
        second = NovaDriver.of_record(record, clock=w.clock)
        outcome = await w.supervisor(second, 5.0).run(attach=True)
    assert outcome.fate is Fate.COMPLETED
    assert P.POSTCOPY in w.phases


async def test_attached_after_it_has_arrived(tmp_path: Path) -> None:
    with world(tmp_path, hot_bytes=0) as w:
        first = w.driver()
        await first.check()
        record = dict(first.record())
        await first.start()
        await w.clock.sleep(300.0)
        second = NovaDriver.of_record(record, clock=w.clock)
        outcome = await w.supervisor(second, None).run(attach=True)
    assert outcome.fate is Fate.COMPLETED


async def test_what_was_never_begun_is_not_found(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        first = w.driver()
        await first.check()
        second = NovaDriver.of_record(first.record())
        with pytest.raises(NotFoundError, match="no live migration"):
            await second.attach()


# --- an old Nova --------------------------------------------------------------------------------


async def test_what_an_old_nova_costs_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world(tmp_path) as w:
        monkeypatch.setattr(type(w.cloud), "newest", "2.60")
        outcome = await w.move()
        assert outcome.fate is Fate.COMPLETED
        assert "no microversion 2.65: one that waits in the queue" in w.notes


async def test_a_nova_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with world(tmp_path) as w:
        monkeypatch.setattr(type(w.cloud), "newest", "2.12")
        with pytest.raises(RefusedError, match=r"2\.25 is needed"):
            await w.move()
