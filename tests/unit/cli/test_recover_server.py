"""``postcopy recover`` for a server of a cloud."""

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from postcopy.cli import servers
from postcopy.cli.app import main
from postcopy.migration.phase import Phase
from postcopy.migration.recovery import Half
from postcopy.nova.driver import NovaDriver
from postcopy.testing import FakeClock, FakeNova

from ..nova.moves import World
from ..nova.test_recovered import FakeHelp
from ..nova.test_watched import FakeLibvirt

RECOVER = ("recover", "web1", "--os-cloud", "fake", "--source-uri", "qemu+ssh://{host}/system")


class Beneath:
    """The libvirts beneath the cloud's server, and what recovers it there."""

    def __init__(self, nova: FakeNova, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cloud = nova.cloud
        assert isinstance(nova.cloud.clock, FakeClock)
        world = World(nova, nova.cloud.clock, Path("clouds.yaml"))
        self.libvirt = FakeLibvirt(world)
        self.help = FakeHelp(world, self.libvirt)
        made = functools.partial(NovaDriver, watcher=self.libvirt, make_rescue=self.help)
        monkeypatch.setattr(servers, "NovaDriver", made)

    def interrupt(self) -> None:
        """Have a post-copy be interrupted."""
        self._begin()
        self.help.interrupt()

    def arrived(self) -> None:
        """Have libvirt say that the guest has moved."""
        self.libvirt.says = Phase.COMPLETED
        self.help.source = self.help.destination = Half.DONE

    def arrive(self) -> None:
        """Have the guest run at beta, and Nova take it to be at alpha."""
        self._begin()
        self.cloud.restart_compute()
        self.arrived()

    def _begin(self) -> None:
        self.cloud.begin("beta")
        one = self.cloud.latest
        one.began_at -= 60.0
        one.status, one.left = "running (post-copy)", 64.0 * (1 << 20)


@pytest.fixture
def beneath(nova: FakeNova, monkeypatch: pytest.MonkeyPatch) -> Beneath:
    return Beneath(nova, monkeypatch)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    with pytest.raises(SystemExit) as leaving:
        main([*arguments, "-f", "json"])
    out, err = capsys.readouterr()
    assert isinstance(leaving.value.code, int)
    return leaving.value.code, json.loads(out) if out else None, err


def test_recovered_and_nova_finishes(beneath: Beneath, capsys: pytest.CaptureFixture[str]) -> None:
    beneath.interrupt()
    code, told, _ = run(capsys, *RECOVER)
    assert (code, told["fate"], told["recoveries"]) == (0, "completed", 1)
    assert (told["source"], told["destination"]) == ("alpha", "beta")
    assert beneath.cloud.latest.status == "completed"


def test_looked_at_and_nothing_done(beneath: Beneath, capsys: pytest.CaptureFixture[str]) -> None:
    beneath.interrupt()
    code, told, _ = run(capsys, *RECOVER, "--dry-run")
    assert (code, told["next"]) == (0, "break off the destination")
    assert beneath.help.calls == []
    _, runs, _ = run(capsys, "history", "web1")
    assert runs == []


def test_recovered_after_novas_compute_was_started_again(
    beneath: Beneath, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nova has let go of the server: it is recovered all the same, and what is wrong is told."""
    beneath.interrupt()
    beneath.cloud.restart_compute()
    beneath.help.at_end = beneath.arrived
    code, told, err = run(capsys, *RECOVER)
    assert (code, told["fate"], told["recoveries"]) == (1, "astray", 1)
    assert [one["record"] for one in told["records"]] == [
        "host of the server", "node of the server", "status of migration 11",
        "allocations of migration 11",
    ]  # fmt: skip
    assert told["statements"][0].startswith("UPDATE instances SET host = 'beta'")
    assert "--repair-records" in err
    assert "undefined at alpha" in err  # before Nova sees it shut off
    assert not any(one["mended"] for one in told["records"])


def test_one_that_went_astray_before(beneath: Beneath, capsys: pytest.CaptureFixture[str]) -> None:
    beneath.arrive()
    code, told, err = run(capsys, *RECOVER)
    assert (code, len(told["records"]), len(told["statements"])) == (1, 4, 2)
    assert "runs at beta, and what is known of it is wrong" in err


def test_repair_wants_to_know_where_the_database_is(
    beneath: Beneath, capsys: pytest.CaptureFixture[str]
) -> None:
    beneath.arrive()
    code, _, err = run(capsys, *RECOVER, "--repair-records")
    assert (code, "--nova-database" in err) == (64, True)
    assert beneath.cloud.latest.status == "running (post-copy)"


def test_a_server_that_needs_no_recovery(
    beneath: Beneath, capsys: pytest.CaptureFixture[str]
) -> None:
    beneath.arrive()
    beneath.cloud.live()
    assert beneath.cloud.server is not None
    beneath.cloud.server["OS-EXT-SRV-ATTR:host"] = "beta"
    code, _, err = run(capsys, *RECOVER)
    assert (code, "in no post-copy that could be recovered" in err) == (66, True)


def test_libvirts_are_needed(nova: FakeNova, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "recover", "web1", "--os-cloud", "fake")
    assert (code, "nobody said where they are" in err) == (64, True)


def test_records_are_those_of_a_cloud(nova: FakeNova, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "recover", "web1", "--repair-records")
    assert (code, "are for servers of a cloud" in err) == (64, True)
