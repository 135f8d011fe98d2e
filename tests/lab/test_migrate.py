"""Real guests between two real QEMUs, through the command."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postcopy.errors import RefusedError
from postcopy.lab.guest import LabGuest
from postcopy.migration import Journal, Phase
from postcopy.qemu import Endpoint, MigrationOptions, QemuDriver

from .commands import data, postcopy, spawn
from .conftest import CALM, GUEST, LAB, SLOW, Bench, held_back_nothing, soon

pytestmark = pytest.mark.lab


def migrate(*more: str) -> tuple[str, ...]:
    return ("migrate", GUEST, "beta", "--lab", LAB, *more)


def wait_for(phase: Phase, process: subprocess.Popen[str]) -> None:
    """Read what a migrating command says until it says that the migration is in that phase."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.rstrip().endswith(f"-> {phase}"):
            return
    raise AssertionError(f"never seen in {phase}:\n{''.join(seen)}")


@pytest.mark.parametrize("policy", ["immediate", "after-first-pass", "adaptive"])
def test_a_busy_guest_moves_by_every_policy_that_may_switch(busy: Bench, policy: str) -> None:
    outcome = data(*migrate("--policy", policy))
    assert outcome["fate"] == "completed"
    assert outcome["switched_at"] is not None
    assert outcome["figures"]["postcopy_bytes"] > 0
    if policy == "adaptive":  # it switches on the announcement of a pass's end alone
        assert outcome["switch_latency_seconds"] is not None
    busy.assert_whole("beta")
    [run] = data("history")
    assert run["outcome"]["fate"] == "completed"


def test_a_guest_that_is_paused_goes_on_where_it_arrives(busy: Bench) -> None:
    outcome = data(*migrate("--policy", "virsh-timeout:timeout=2,action=suspend"))
    assert outcome["fate"] == "completed"
    assert outcome["switched_at"] is None
    assert outcome["policy"] == "virsh-timeout:timeout=2.0,action=suspend"
    busy.assert_whole("beta")


def test_a_paused_guest_goes_on_at_the_source_when_it_is_called_off(busy: Bench) -> None:
    busy.link(SLOW)
    with spawn(*migrate("--policy", "virsh-timeout:timeout=0.5,action=suspend")) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "pause acknowledged" in line:
                break
        postcopy("cancel", GUEST)
        assert process.wait(30) == 1
    busy.assert_whole("alpha")


def test_a_plan_moves_nothing_and_is_scored_by_the_run_that_follows(busy: Bench) -> None:
    plan = data("plan", GUEST, "beta", "--lab", LAB)
    assert busy.states() == {"alpha": "running"}
    assert plan["inputs"]["memory_bytes"] > 128 << 20
    assert plan["inputs"]["dirtied_bytes"]["1"] > 40e6
    expected = {each["method"]: each for each in plan["methods"]}
    assert expected["precopy"]["ends"] < 0.5
    outcome = data(*migrate("--policy", "after-first-pass"))
    [made, *_] = data("history", "--forecast")["forecasts"]
    assert made["basis"] == "plan"
    assert made["score"]["total_error"] == pytest.approx(
        expected["after-first-pass"]["total_seconds"]["median"] / outcome["total_seconds"] - 1
    )
    assert abs(made["score"]["total_error"]) < 0.5
    busy.assert_whole("beta")


def test_a_guest_that_converges_is_spared_postcopy(bench: Bench) -> None:
    bench.boot(CALM)
    outcome = data(*migrate("--policy", "adaptive"))
    assert outcome["fate"] == "completed"
    assert outcome["switched_at"] is None
    bench.assert_whole("beta")


def test_there_and_back_and_there_again(busy: Bench) -> None:
    for destination in ("beta", "alpha", "beta"):
        assert data("migrate", GUEST, destination, "--lab", LAB)["fate"] == "completed"
    busy.assert_whole("beta")


def test_cancel_in_precopy_leaves_the_guest_where_it_is(busy: Bench) -> None:
    with spawn(*migrate("--policy", "precopy")) as process:
        wait_for(Phase.PRECOPY, process)
        time.sleep(1.0)
        assert "goes on at alpha" in postcopy("cancel", GUEST).stdout
        assert process.wait(30) == 1
    busy.assert_whole("alpha")


def test_switch_by_hand(busy: Bench) -> None:
    busy.link(SLOW)
    with spawn(*migrate("--policy", "after-first-pass")) as process:
        wait_for(Phase.PRECOPY, process)
        assert "post-copy" in postcopy("switch", GUEST).stdout
        refused = postcopy("cancel", GUEST, code=65)
        assert "destroy" in refused.stderr
        assert process.wait(60) == 0
    busy.assert_whole("beta")


@pytest.mark.parametrize("phase", [Phase.PRECOPY, Phase.POSTCOPY])
def test_attach_finishes_what_a_killed_supervisor_left(busy: Bench, phase: Phase) -> None:
    busy.link(SLOW)
    with spawn(*migrate("--policy", "after-first-pass")) as process:
        wait_for(phase, process)
        process.kill()
    outcome = data("attach", GUEST)
    assert outcome["fate"] == "completed"
    busy.assert_whole("beta")
    postcopy("attach", GUEST, code=66)


def test_attach_after_the_migration_ended_by_itself(busy: Bench) -> None:
    with spawn(*migrate("--policy", "immediate")) as process:
        wait_for(Phase.POSTCOPY, process)
        process.kill()
    deadline = time.monotonic() + 30
    while busy.migration("alpha") != "completed" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert data("attach", GUEST)["fate"] == "completed"
    busy.assert_whole("beta")


def test_cancel_after_the_supervisor_was_killed(busy: Bench) -> None:
    with spawn(*migrate("--policy", "precopy")) as process:
        wait_for(Phase.PRECOPY, process)
        process.kill()
    postcopy("cancel", GUEST)
    busy.assert_whole("alpha")


def test_an_interrupt_in_precopy_calls_it_off(busy: Bench) -> None:
    with spawn(*migrate("--policy", "precopy")) as process:
        wait_for(Phase.PRECOPY, process)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    busy.assert_whole("alpha")
    [run] = data("history")
    assert run["outcome"]["fate"] == "cancelled"


def test_an_interrupt_in_postcopy_leaves_it_to_finish(busy: Bench) -> None:
    busy.link(SLOW)
    with spawn(*migrate("--policy", "immediate")) as process:
        wait_for(Phase.POSTCOPY, process)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert data("attach", GUEST)["fate"] == "completed"
    busy.assert_whole("beta")


def test_a_guest_on_the_move_is_not_moved_again(busy: Bench) -> None:
    with spawn(*migrate("--policy", "precopy")) as process:
        wait_for(Phase.PRECOPY, process)
        refused = postcopy(*migrate(), code=65)
        assert f"process {process.pid}" in refused.stderr
        process.kill()
    refused = postcopy(*migrate(), code=65)
    assert f"postcopy attach {GUEST}" in refused.stderr
    postcopy("cancel", GUEST)
    busy.assert_whole("alpha")


def test_a_dry_run_moves_nothing(busy: Bench) -> None:
    plan = data(*migrate("--dry-run"))
    assert (plan["source"], plan["destination"]) == ("alpha", "beta")
    assert data("history") == []
    assert busy.states() == {"alpha": "running"}


BAD_INPUT = (
    (("migrate", "ghost", "beta", "--lab", LAB), 66, "no guest 'ghost' (it has: busy)"),
    (("migrate", GUEST, "gamma", "--lab", LAB), 66, "no host 'gamma'"),
    (("migrate", GUEST, "alpha", "--lab", LAB), 64, "already runs on alpha"),
    (("migrate", GUEST, "beta", "--lab", "t-none"), 69, "lab t-none is not up"),
    (("lab", "guest", GUEST, "--lab", LAB), 65, "a guest 'busy' already"),
    (("lab", "guest", "x", "--lab", LAB, "--host", "gamma"), 66, "no host 'gamma'"),
    (("lab", "guest", "x", "--lab", LAB, "--hot", "-1"), 64, "hot memory"),
    (("lab", "guest", "x/y", "--lab", LAB), 64, "'x/y' is not a name"),
    (("lab", "link", "--lab", LAB, "--rate", "fast"), 64, "'fast' is not a rate"),
    (("lab", "link", "--lab", LAB, "--fair"), 64, "--fair goes with --rate"),
)


def test_bad_input_is_named_and_hurts_nobody(busy: Bench) -> None:
    for arguments, code, said in BAD_INPUT:  # of one guest: none has to be booted anew
        assert said in postcopy(*arguments, code=code).stderr
        assert busy.states() == {"alpha": "running"}


def test_a_destination_that_may_not_use_userfaultfd(busy: Bench) -> None:
    """QEMU as an ordinary user, who has neither the device nor the system call."""
    host = busy.lab.host("beta")
    directory = host.runtime_dir / "unprivileged"
    directory.mkdir(exist_ok=True)
    directory.chmod(0o777)
    inside = "/run/postcopy/unprivileged"

    async def scenario() -> None:
        await host.run(
            *("qemu-system-x86_64", "-machine", "none", "-m", "16M", "-S", "-display", "none"),
            *("-nodefaults", "-incoming", "defer", "-daemonize", "-pidfile", f"{inside}/pid"),
            *("-qmp", f"unix:{inside}/monitor,server=on,wait=off"),
            user="nobody",
        )
        driver = QemuDriver(
            LabGuest.load(busy.lab, GUEST).sides["alpha"].endpoint,
            Endpoint("beta", directory / "monitor"),
            MigrationOptions(uri=f"tcp:{host.data_address}:49152"),
        )
        try:
            with pytest.raises(RefusedError, match="Postcopy is not supported") as caught:
                await driver.start()
            assert "userfaultfd" in caught.value.hint
        finally:
            await driver.close()
            await host.run("sh", "-c", f"kill $(cat {inside}/pid)")

    asyncio.run(scenario())
    busy.assert_whole("alpha")


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A state directory on a disk of 256 KiB; the result fills it up."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "small", str(place)], check=True)
    monkeypatch.setenv("POSTCOPY_STATE_DIR", str(place / "state"))

    def fill() -> None:
        with (place / "ballast").open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(4096))
            except OSError:
                return

    yield fill
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_is_noticed_before_anything_begins(
    busy: Bench, small_disk: Callable[[], None]
) -> None:
    small_disk()
    assert "the disk is full" in postcopy(*migrate(), code=73).stderr
    assert busy.states() == {"alpha": "running"}


def test_a_disk_that_fills_up_underway_does_not_stop_the_guest(
    busy: Bench, small_disk: Callable[[], None]
) -> None:
    busy.link(SLOW)
    with spawn(*migrate("--policy", "immediate")) as process:
        wait_for(Phase.POSTCOPY, process)
        small_disk()
        assert process.stderr is not None
        assert "going on without the journal" in process.stderr.read()
        assert process.wait(60) == 0
    busy.assert_whole("beta")


def test_a_lab_that_is_half_there_is_told_and_mended(busy: Bench) -> None:
    postcopy("lab", "exec", "--lab", LAB, "beta", "true")
    host = busy.lab.host("beta")
    os.kill(host.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{host.pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    for command in (migrate(), ("lab", "guest", GUEST, "--verify", "--lab", LAB)):
        assert "half there" in postcopy(*command, code=69).stderr
    assert data("lab", "status", "--lab", LAB, code=1)["state"] == "half"
    postcopy("lab", "up", "--lab", LAB)
    assert data("lab", "status", "--lab", LAB)["state"] == "up"


def test_every_pass_end_was_decided_on_and_journalled(busy: Bench, state_dir: Path) -> None:
    outcome = data(*migrate("--policy", "adaptive"))
    with Journal(state_dir / "journal.sqlite") as journal:
        samples = journal.samples(outcome["run"])
        decided = [text for _, kind, text in journal.events(outcome["run"]) if kind == "Decided"]
    ends = [sample for sample in samples if sample.pass_ended]
    assert ends
    assert all(0 <= sample.at - (sample.pass_ended_at or 0) < 0.1 for sample in ends)
    assert len(decided) >= len(ends)
    assert decided[-1].startswith("switch: passes")


def test_a_guest_in_postcopy_asks_for_pages_at_once(busy: Bench) -> None:
    busy.link(SLOW)
    with spawn(*migrate("--policy", "immediate")) as process:
        wait_for(Phase.POSTCOPY, process)
        # The one that was made last carries no requests, and may not have been there yet.
        soon(lambda: any(held_back_nothing(busy.lab)), True)
        assert process.wait(60) == 0
    busy.assert_whole("beta")
