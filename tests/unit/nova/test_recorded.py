"""Real clouds' answers, played to our own driver: what it makes of them, from begin to end."""

import pytest

from postcopy.migration.event import SampleTaken
from postcopy.migration.outcome import Fate, Outcome
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample
from postcopy.migration.supervisor import Supervisor
from postcopy.nova.driver import NovaDriver
from postcopy.nova.look import Look
from postcopy.nova.permission import Effect, Permission
from postcopy.nova.status import judge

from .answers.play import FOLDERS, Played, play
from .moves import SwitchAfter

P = Phase
PAUSES = Permission(Effect.PAUSE, "nova.conf says so")

folders = pytest.mark.parametrize("folder", FOLDERS)


async def move(
    played: Played, switch_after: float | None = None, driver: NovaDriver | None = None
) -> Outcome:
    """Do what the recording did, by the same driver."""
    return await Supervisor(
        driver or played.driver(),
        SwitchAfter(switch_after),
        clock=played.clock,
        observe=played.events.append,
    ).run()


def samples(played: Played) -> list[Sample]:
    return [event.sample for event in played.events if isinstance(event, SampleTaken)]


@folders
async def test_a_busy_server_moves_by_post_copy(folder: str) -> None:
    played = play(folder, "post-copy")
    outcome = await move(played, switch_after=25.0)
    assert outcome.fate is Fate.COMPLETED
    assert played.phases == [P.SETUP, P.PRECOPY, P.POSTCOPY, P.COMPLETED]
    assert [method for method, _ in played.player.done] == ["POST", "POST"]
    assert outcome.switched_at is not None
    assert "by itself" not in played.notes
    assert "again" not in played.notes
    last = [sample for sample in samples(played) if sample.phase is P.PRECOPY][-1]
    assert last.pass_number > 1
    assert last.transferred_bytes > last.total_bytes > last.remaining_bytes > 0
    assert last.bandwidth == pytest.approx(12.5e6, rel=0.2)


@folders
async def test_one_that_converges_needs_no_switch(folder: str) -> None:
    played = play(folder, "pre-copy")
    driver = played.driver(None)
    outcome = await move(played, driver=driver)
    assert outcome.fate is Fate.COMPLETED
    assert played.phases == [P.SETUP, P.PRECOPY, P.COMPLETED]
    assert driver.destination == played.tape.about["destination"]  # which the scheduler chose


@folders
async def test_novas_own_time_out_is_followed_and_not_fought(folder: str) -> None:
    played = play(folder, "automatic")
    outcome = await move(played)
    assert outcome.fate is Fate.COMPLETED
    assert played.phases == [P.SETUP, P.PRECOPY, P.POSTCOPY, P.COMPLETED]
    assert "Nova has gone over to post-copy by itself" in played.notes
    assert len(played.player.done) == 1


@folders
async def test_a_pause_is_told_though_nova_says_that_the_guest_runs(folder: str) -> None:
    played = play(folder, "pause")
    driver = played.driver(permission=PAUSES, allow_pause=True)
    outcome = await move(played, switch_after=6.0, driver=driver)
    assert outcome.fate is Fate.COMPLETED
    assert played.phases == [P.SETUP, P.PRECOPY, P.COMPLETED]
    assert "the guest was paused to end pre-copy" in played.notes
    assert "asking again" not in played.notes
    powers = {
        one.answer["server"]["OS-EXT-STS:power_state"]
        for one in played.tape.asked("GET", "/servers/")
        if "server" in one.answer
    }
    assert powers == {1}


@folders
async def test_one_that_is_called_off_goes_on_at_the_source(folder: str) -> None:
    played = play(folder, "cancelled")
    driver = played.driver()
    await driver.start()
    seen: list[Phase] = []
    async for sample in driver.samples():
        seen.append(sample.phase)
        if seen.count(P.PRECOPY) == 6:
            await driver.cancel()
    assert seen[-1] is P.CANCELLED
    assert [method for method, _ in played.player.done] == ["POST", "DELETE"]
    assert await driver.locate() == played.tape.about["source"]


@folders
async def test_a_failure_in_mid_way_is_a_roll_back(folder: str) -> None:
    """The destination's QEMU was killed."""
    played = play(folder, "failed")
    outcome = await move(played)
    assert outcome.fate is Fate.FAILED
    assert played.phases == [P.SETUP, P.PRECOPY, P.FAILED]
    assert f"goes on at {played.tape.about['source']}" in outcome.hint


@folders
async def test_no_host_is_found_after_nova_has_accepted(folder: str) -> None:
    played = play(folder, "no-host")
    outcome = await move(played, driver=played.driver(None))
    assert outcome.fate is Fate.FAILED
    assert "No valid host" in outcome.error


@folders
async def test_nova_compute_was_started_again_in_post_copy(folder: str) -> None:
    """Nova takes the server to be at the source for good, and says post-copy for ever."""
    played = play(folder, "let-go")
    outcome = await move(played, switch_after=6.0)
    assert played.phases == [P.SETUP, P.PRECOPY, P.POSTCOPY, P.UNKNOWN]
    assert outcome.fate is Fate.UNKNOWN
    assert f"may be at {played.tape.about['destination']} all the same" in outcome.error


# --- each moment ----------------------------------------------------------------------------------


async def looks(played: Played) -> list[Look]:
    """Do what the recording did, when it did it, and look twice a second in between."""
    uuid = str((await played.api.server("busy"))["id"])
    acts = [one for one in played.tape.exchanges if one.acts and one.status < 400]
    ends = [*(one.at for one in acts[1:]), played.tape.exchanges[-1].at]
    listed = played.tape.asked("GET", "/os-migrations")[-1].answer["migrations"]
    number = max(int(one["id"]) for one in listed)
    seen = []
    for act, end in zip(acts, ends, strict=True):
        played.again(act)
        while played.player.now < end:
            seen.append(await played.api.look(uuid, number))
            await played.clock.sleep(0.5)
    return seen


@folders
async def test_the_list_goes_empty_in_post_copy_and_the_migration_is_found_all_the_same(
    folder: str,
) -> None:
    seen = await looks(play(folder, "post-copy"))
    spread = [look for look in seen if look.status == "running (post-copy)" and not look.at_rest]
    assert len(spread) > 8
    for look in spread:
        assert look.own is None
        assert judge(look, "busy", "alpha").phase is P.POSTCOPY
        assert look.host == "alpha"  # until all is over
    assert any(look.own is not None for look in seen)


@folders
@pytest.mark.parametrize(
    ("scenario", "phases"),
    [
        ("post-copy", [P.PRECOPY, P.POSTCOPY, P.COMPLETED]),
        ("automatic", [P.PRECOPY, P.POSTCOPY, P.COMPLETED]),
        ("pre-copy", [P.PRECOPY, P.COMPLETED]),
        ("pause", [P.PRECOPY, P.COMPLETED]),
        ("cancelled", [P.PRECOPY, P.CANCELLED]),
        ("failed", [P.PRECOPY, P.FAILED]),
        ("no-host", [P.FAILED]),
    ],
)
async def test_every_moment_has_its_phase(folder: str, scenario: str, phases: list[Phase]) -> None:
    """Whatever was asked at which moment; what is told before figures are there is left out."""
    played = play(folder, scenario)
    verdicts = [judge(look, "busy", played.tape.about["source"]) for look in await looks(played)]
    told = [v.phase for v in verdicts if not v.after and v.phase not in (None, P.SETUP)]
    assert [p for i, p in enumerate(told) if i == 0 or told[i - 1] is not p] == phases
    # What is doubted is so for moments only.
    assert sum(v.phase is None or v.after > 0 for v in verdicts) < 12


@folders
async def test_figures_are_null_then_zero_and_then_true(folder: str) -> None:
    seen = await looks(play(folder, "post-copy"))
    totals = [look.own["memory_total_bytes"] for look in seen if look.own is not None]
    distinct = [t for i, t in enumerate(totals) if i == 0 or totals[i - 1] != t]
    assert distinct[:2] == [None, 0]
    assert min(distinct[2:]) > 200 << 20
    assert not any(
        look.memory_moves for look in seen if look.own and not look.own["memory_total_bytes"]
    )
