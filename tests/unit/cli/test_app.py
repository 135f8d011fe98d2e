import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from postcopy.cli import app
from postcopy.cli.forecasts import Forecasts
from postcopy.migration import Fate, Journal, Outcome, Phase, Sample
from postcopy.migration.decision import Action
from postcopy.migration.event import Decided, SampleTaken
from postcopy.paths import state_dir
from postcopy.policy import find

QEMU = ("migrate", "g", "beta", "--qmp", "/a", "--dest-qmp", "/b", "--uri", "tcp:a:1")
LIBVIRT = ("migrate", "test", "test:///default", "--from", "test:///default")


def run(*arguments: str) -> int:
    return app._run(list(arguments))


@pytest.fixture
def journal() -> Path:
    """A journal with one run that ended and one that nobody saw the end of."""
    path = state_dir() / "journal.sqlite"
    with Journal(path) as made:
        for guest, ended in (("web1", True), ("web2", False)):
            started = made.begin(
                guest=guest, source="alpha", destination="beta", policy="adaptive",
                driver={"kind": "qemu"}, started_at=1000.0,
            )  # fmt: skip
            sample = Sample(at=1001.0, phase=Phase.POSTCOPY, total_bytes=10)
            made.record(started.id, SampleTaken(sample))
            made.record(started.id, Decided(1001.0, Action.SWITCH, "passes do not shrink"))
            if ended:
                outcome = Outcome(
                    fate=Fate.COMPLETED, phase=Phase.COMPLETED, started_at=1000.0, ended_at=1004.5
                )
                made.end(started.id, outcome)
    return path


def test_help_lists_every_command_and_imports_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    out = capsys.readouterr().out
    for command in app._COMMANDS:
        assert f"\n  {command} " in out
    heavy = "altair", "rich.console", "pyroute2", "qemu", "postcopy.lab", "yaml"
    code = f"""
import sys
from postcopy.cli import app
from postcopy.cli.forecasts import Forecasts
app._run(["--help"])
print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("command", app._COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    assert "Usage: postcopy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nonsense",), 64, "nonsense"),
        (("migrate",), 64, "GUEST"),
        (("migrate", "g", "beta", "--policy", "sometimes"), 64, "no policy 'sometimes'"),
        (("migrate", "g", "beta", "--policy", "nova", "--deadline", "9"), 64,
         "no parameter 'deadline'"),
        (("migrate", "g", "beta", "--max-risk", "-1"), 64, "max_risk=-1.0"),
        (("migrate", "g", "beta", "--bandwidth", "fast"), 64, "'fast' is not a rate"),
        (("migrate", "g", "beta", "--downtime", "soon"), 64, "soon"),
        (("migrate", "g", "beta", "--qmp", "/a"), 64, "go together"),
        (("migrate", "g", "beta", "--qmp", "/a", "--dest-qmp", "/a", "--uri", "tcp:a:1"), 64,
         "same QEMU"),
        (("migrate", "g", "beta", "--qmp", "/a", "--dest-qmp", "/b", "--uri", "mail:a"), 64,
         "'mail:a' is not a migration address"),
        (("migrate", "g", "beta", "--qmp", "/nowhere", "--dest-qmp", "/b", "--uri", "tcp:a:1"), 69,
         "/nowhere"),
        (("migrate", "g", "beta", "--lab", "UPPER"), 64, "UPPER"),
        (("history", "--run", "77"), 66, "no run 77"),
        (("attach", "ghost"), 66, "no migration of guest 'ghost'"),
        (("cancel", "ghost"), 66, "no migration of guest 'ghost'"),
        (("report", "77"), 66, "no run 77"),
        (("lab", "guest", "g", "--verify", "--stop"), 64, "exclude"),
        ((*QEMU, "--tls"), 64, "--tls: an option of libvirt"),
        ((*QEMU, "--copy-storage-inc", "--xml", "/dev/null"), 64,
         "--xml, --copy-storage-inc: an option of libvirt"),
        ((*QEMU, "--peer-uri", "x:///"), 64, "--peer-uri: an option of libvirt"),
        (("migrate", "g", "beta", "--rescue-qmp", "/a"), 64, "go together"),
        ((*LIBVIRT, "--qmp", "/a", "--no-preempt"), 64, "--qmp, --no-preempt: an option for bare"),
        ((*LIBVIRT, "--preempt"), 64, "--preempt: an option for bare QEMUs"),
        (("migrate", "g", "beta", "--bandwidth", "0"), 64, "moves nothing"),
        ((*LIBVIRT, "--copy-storage-all", "--copy-storage-inc"), 64, "exclude each other"),
        ((*LIBVIRT, "--migrate-disks", "vda"), 64, "no storage is to be copied"),
        ((*LIBVIRT, "--copy-storage-synchronous-writes"), 64, "none are copied"),
        ((*LIBVIRT, "--no-persistent", "--persistent-xml", "/dev/null"), 64, "leave one"),
        ((*LIBVIRT, "--copy-storage-all", "--migrate-disks", "vdz"), 64, "no disk vdz"),
        (("lab", "guest", "g", "--shared"), 64, "add --disk"),
        (("lab", "guest", "g", "--bare", "--disk"), 64, "no disk"),
        (("lab", "guest", "g", "--server", "--disk"), 64, "no disk"),
        (("lab", "guest", "g", "--server", "--bare"), 64, "exclude"),
        (("lab", "up", "--instances", "shared"), 64, "add --openstack"),
        (("lab", "up", "--openstack", "--release", "trixie"), 64, "one release with OpenStack"),
        (("lab", "guest", "g", "--disk", "big"), 64, "big"),
        ((*LIBVIRT, "--tunnelled"), 65, "cannot go over to post-copy"),
        ((*LIBVIRT, "--compressed"), 65, "excludes post-copy"),
        ((*LIBVIRT, "--xml", "/nowhere.xml"), 64, "/nowhere.xml"),
        (LIBVIRT, 64, "are the same host"),
        (("migrate", "ghost", "test:///default", "--from", "test:///default"), 66, "'ghost'"),
        (("migrate", "g", "x:///", "--from", "nonsense://"), 69, "nonsense://"),
        ((*LIBVIRT, "--dry-run"), 64, "are the same host"),
    ],
)  # fmt: skip
def test_bad_input_is_named_and_has_its_code(
    arguments: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == code
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


def test_an_unwritable_journal_stops_the_command_before_anything_begins(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POSTCOPY_STATE_DIR", str(tmp_path / "file" / "state"))
    assert run("history") == 73
    err = capsys.readouterr().err
    assert "cannot open the journal" in err
    assert "POSTCOPY_STATE_DIR" in err


def test_history_lists_runs(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("history") == 0
    out = capsys.readouterr().out
    assert "web1" in out
    assert "completed" in out
    assert "4.50 s" in out
    assert "not on record" in out

    assert run("history", "web1", "-f", "json") == 0
    [entry] = json.loads(capsys.readouterr().out)
    assert entry["outcome"]["total_seconds"] == 4.5


def test_history_tells_every_decision_with_its_reason(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("history", "--run", "1") == 0
    assert "switch: passes do not shrink" in capsys.readouterr().out
    assert run("history", "--run", "1", "-f", "yaml") == 0
    assert "reason" not in (out := capsys.readouterr().out)
    assert "passes do not shrink" in out


def test_cancel_in_postcopy_is_refused(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cancel", "web2") == 65
    assert "would destroy it" in " ".join(capsys.readouterr().err.split())


def test_a_surprise_is_confessed_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr("postcopy.cli.session.open_journal", explode)
    assert run("history") == 70
    err = capsys.readouterr().err
    assert "internal: ZeroDivisionError: surprise" in err
    assert "Traceback" not in err
    assert "Traceback" in (state_dir() / "crash.log").read_text()


def test_a_reader_that_leaves_is_no_failure(journal: Path) -> None:
    code = "from postcopy.cli import main; main(['history', '-f', 'json'])"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("words", "count", "offered"),
    [("postcopy mi", 1, "migrate"), ("postcopy wa", 1, "watch"),
     ("postcopy watch --rec", 2, "--recover-uri"), ("postcopy lab ", 2, "status")],
)  # fmt: skip
def test_completion_is_offered(words: str, count: int, offered: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from postcopy.cli import main; main()"],
        env={**os.environ, "_POSTCOPY_COMPLETE": "bash_complete", "COMP_WORDS": words,
             "COMP_CWORD": str(count)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert offered in done.stdout


def test_policies_are_listed_with_their_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("policies") == 0
    out = capsys.readouterr().out
    assert "completion_timeout_per_gib" in out
    assert run("policies", "ovirt", "-f", "json") == 0
    [ovirt] = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in ovirt["parameters"]] == ["tick", "initial_downtime"]
    assert run("policies", "sometimes") == 64


GIVEN = ("plan", "--memory", "4GiB", "--dirty", "512MiB@2GB/s", "--bandwidth", "1gbit")


def test_a_plan_from_given_figures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(*GIVEN, "--content", "2GiB", "--plot", str(tmp_path / "plan.svg")) == 0
    out = capsys.readouterr().out
    assert "precopy would end in 0% of all cases" in out
    assert "Moving such a guest" in (tmp_path / "plan.svg").read_text()
    assert run(*GIVEN, "-f", "json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["advice"] in ("adaptive", "after-first-pass")
    assert data["inputs"]["memory_bytes"] == 4 << 30
    assert all(each["total_seconds"]["median"] != 0 for each in data["methods"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("plan",), 64, "no --memory"),
        (("plan", "--memory", "4GiB"), 64, "nothing is known of the link"),
        (("plan", "--memory", "4"), 64, "'4' is not a size"),
        ((*GIVEN, "--bandwidth", "0"), 64, "moves nothing"),
        ((*GIVEN, "--price", "-1"), 64, "price=-1.0"),
        ((*GIVEN, "--deadline", "-5"), 64, "deadline=-5.0"),
        ((*GIVEN, "--price", "nan"), 64, "price=nan"),
        ((*GIVEN, "--downtime", "0"), 64, "downtime limit"),
        ((*GIVEN, "--dirty", "much"), 64, "'much' does not say how a guest writes"),
        ((*GIVEN, "--dirty", "8GiB@1GB/s"), 64, "more than the guest has in use"),
        ((*GIVEN, "--content", "8GiB"), 64, "more than --memory"),
        ((*GIVEN, "--plot", "plan.gif"), 64, "no kind of plot"),
        ((*GIVEN, "--plot", "/nowhere/plan.svg"), 64, "/nowhere/plan.svg"),
        (("plan", "g", "beta", "--memory", "4GiB"), 64, "a guest that is not there"),
        (("plan", "ghost", "x", "--from", "test:///default"), 66, "'ghost'"),
        (("plan", "g", "beta", "--qmp", "/nowhere"), 69, "/nowhere"),
    ],
)
def test_bad_input_to_plan_is_named(
    arguments: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == code
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


def test_history_shows_how_good_forecasts_were(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*GIVEN, "-f", "json") == 0
    [adaptive, *_] = json.loads(capsys.readouterr().out)["methods"]
    with Journal(journal) as made:
        [web1] = made.runs("web1")
        made.foresee(
            guest="web1",
            destination="beta",
            at=900.0,
            data={"methods": [adaptive], "adaptive": "adaptive"},
        )
        forecasts = Forecasts(made, web1, find("adaptive"), 0.3)
        forecasts.adopt()
        assert web1.outcome is not None
        forecasts.rate(web1.outcome)
    assert run("history", "--forecast") == 0
    out = capsys.readouterr().out
    assert "plan" in out
    assert "1 scored" in out
    assert run("history", "web1", "--forecast", "-f", "json") == 0
    data = json.loads(capsys.readouterr().out)
    [entry] = data["forecasts"]
    assert entry["score"]["total_error"] == pytest.approx(
        adaptive["total_seconds"]["median"] / 4.5 - 1
    )
    assert data["in_all"]["scored"] == 1
