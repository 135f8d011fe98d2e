"""``postcopy migrate`` and the commands after it, in a cloud."""

import json
from pathlib import Path

import pytest

from postcopy.cli import clouds, moves
from postcopy.cli.app import main
from postcopy.cli.request import Request
from postcopy.errors import UsageError
from postcopy.lab.lab import Lab
from postcopy.policy import Adaptive
from postcopy.testing import FakeNova


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as leaving:
        main(list(arguments))
    out, err = capsys.readouterr()
    assert isinstance(leaving.value.code, int)
    return leaving.value.code, out, err


MIGRATE = ("migrate", "web1", "--os-cloud", "fake", "-f", "json")


def test_a_server_moves(nova: FakeNova, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, *MIGRATE, "beta", "--postcopy-permitted")
    told = json.loads(out)
    assert (code, told["fate"], told["source"], told["destination"]) == (
        0, "completed", "alpha", "beta",
    )  # fmt: skip


def test_the_schedulers_choice_is_on_record(
    nova: FakeNova, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_CLOUD", "fake")
    nova.cloud.hot_bytes = 0
    code, out, _ = run(capsys, "migrate", "web1", "--policy", "precopy", "-f", "json")
    assert (code, json.loads(out)["destination"]) == (0, "beta")
    _, out, _ = run(capsys, "history", "web1", "-f", "json")
    assert json.loads(out)[0]["destination"] == "beta"


def test_a_plan_says_what_a_switch_will_do_and_that_it_is_refused(
    nova: FakeNova, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *MIGRATE, "beta", "--dry-run")
    assert code == 65
    assert json.loads(out)["force_complete"].startswith("post-copy or pause: Nova's API does not")
    assert "may pause server 'web1'" in err
    assert "--allow-pause" in err
    assert nova.cloud.migrations == []


def test_what_a_host_did_before_is_known(
    nova: FakeNova, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, *MIGRATE, "beta", "--postcopy-permitted")
    assert nova.cloud.server is not None
    nova.cloud.server["OS-EXT-SRV-ATTR:host"] = "alpha"
    code, out, _ = run(capsys, *MIGRATE, "beta", "--dry-run")
    assert code == 0
    assert json.loads(out)["force_complete"] == (
        "post-copy: Nova went over to post-copy there in run 1"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--bandwidth", "1gbit"), "Nova cannot bound one migration's bandwidth"),
        (("--tls",), "--tls: no option of migrations by Nova"),
        (("--no-preempt",), "--no-preempt: no option of migrations by Nova"),
    ],
)
def test_options_that_mean_nothing_to_nova(
    nova: FakeNova, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    code, _, err = run(capsys, *MIGRATE, "beta", *options)
    assert code == 64
    assert words in err


@pytest.mark.parametrize("option", ["--allow-pause", "--postcopy-permitted"])
def test_novas_options_need_a_cloud(
    nova: FakeNova, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    code, _, err = run(capsys, "migrate", "web1", "beta", option)
    assert code == 64
    assert f"{option}: an option of migrations by Nova, without a cloud" in err


def test_where_to_is_left_open_in_clouds_alone(
    nova: FakeNova, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "migrate", "web1")
    assert (code, "DEST is missing" in err) == (64, True)


def test_picked_up_after_the_cloud_was_away(
    nova: FakeNova, capsys: pytest.CaptureFixture[str]
) -> None:
    nova.fail("silence", 10.0, 300.0)
    code, out, err = run(capsys, *MIGRATE, "beta", "--postcopy-permitted")
    assert (code, json.loads(out)["fate"]) == (1, "unknown")
    assert "has not answered for 180 s" in err
    assert "postcopy attach web1" in err
    code, out, _ = run(capsys, "attach", "web1", "-f", "json")
    assert (code, json.loads(out)["fate"]) == (0, "completed")
    assert len(nova.cloud.migrations) == 1


def test_called_off_from_another_process(
    nova: FakeNova, capsys: pytest.CaptureFixture[str]
) -> None:
    nova.fail("silence", 10.0, 185.0)
    run(capsys, *MIGRATE, "beta", "--policy", "precopy")
    code, out, _ = run(capsys, "cancel", "web1")
    assert (code, "goes on at alpha" in out) == (0, True)
    assert nova.cloud.latest.over


def test_switched_from_another_process(nova: FakeNova, capsys: pytest.CaptureFixture[str]) -> None:
    nova.fail("silence", 10.0, 185.0)
    run(capsys, *MIGRATE, "beta", "--policy", "precopy", "--postcopy-permitted")
    code, out, _ = run(capsys, "switch", "web1", "-f", "json")
    told = json.loads(out)
    assert (code, told["fate"], told["switched_at"] is not None) == (0, "completed", True)


def asked_for(guest: str) -> Request:
    return Request(guest=guest, destination="", policy=Adaptive(), lab="default")


def test_a_server_of_a_lab_is_known_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nova's scheduler may choose; the hosts' libvirts and nova.conf are at hand."""
    monkeypatch.delenv("OS_CLOUD", raising=False)
    monkeypatch.setattr(Lab, "runtime_dir", tmp_path)
    (tmp_path / "servers").mkdir()
    (tmp_path / "servers/web1.json").write_text("{}")
    request, api = clouds.in_lab(moves.in_cloud(asked_for("web1"), lab_given=False))
    assert (request.os_cloud, request.check_host) == ("postcopy-lab", "{host}")
    assert request.libvirt_uri is not None
    assert f"{tmp_path}/{{host}}/" in request.libvirt_uri
    assert api.clouds_file == str(tmp_path / "clouds.yaml")
    with pytest.raises(UsageError, match="DEST is missing"):
        moves.in_cloud(asked_for("web2"), lab_given=False)
