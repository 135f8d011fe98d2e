"""How nova-compute is started, and a probe of this machine that keeps secrets."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from postcopy.hosts.program import parse, program
from postcopy.nova import start
from postcopy.nova.facts import NovaFacts
from postcopy.readiness import Evidence

HOME = "/var/lib/nova"
NOVA_DIRECTORIES = [
    ["directory", "/etc/nova/nova.conf.d"],
    ["directory", "/etc/nova/nova-compute.conf.d"],
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("etc/nova/nova.conf", "etc/nova/nova-compute.conf"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_without_arguments_directories_are_read_last(root: Path) -> None:
    assert start.layout(["/usr/bin/nova-compute"], root, HOME) == [
        ["file", "/etc/nova/nova.conf"],
        ["file", "/etc/nova/nova-compute.conf"],
        *NOVA_DIRECTORIES,
    ]


def test_files_on_the_command_line_are_read_after_directories_that_are_not(root: Path) -> None:
    argv = ["nova-compute", "--config-file=/etc/nova/nova.conf", "--config-file=/a.conf"]
    assert start.layout(argv, root, HOME) == [
        *NOVA_DIRECTORIES,
        ["file", "/etc/nova/nova.conf"],
        ["file", "/a.conf"],
    ]


def test_a_directory_on_the_command_line_stands_in_place_of_those_that_are_looked_for(
    root: Path,
) -> None:
    argv = ["nova-compute", "--config-dir=/etc/own", "--config-file=/a.conf"]
    assert start.layout(argv, root, HOME) == [["directory", "/etc/own"], ["file", "/a.conf"]]


def test_files_in_the_home_directory_come_before_those_of_the_system(root: Path) -> None:
    (root / "var/lib/nova/.nova/nova.conf.d").mkdir(parents=True)
    layout = start.layout(["nova-compute"], root, HOME)
    assert ["directory", f"{HOME}/.nova/nova.conf.d"] in layout


def test_the_version_is_that_of_the_package(root: Path) -> None:
    (root / "usr/lib/python3/dist-packages/nova-31.0.0.dist-info").mkdir(parents=True)
    assert start.release(root, None) == "31.0.0"


def test_the_version_in_a_virtual_environment_comes_first(root: Path) -> None:
    (root / "usr/lib/python3/dist-packages/nova-26.2.2.egg-info").mkdir(parents=True)
    (root / "opt/nova/lib/python3.12/site-packages/nova-32.0.0.dist-info").mkdir(parents=True)
    process = {"interpreter": "/opt/nova/bin/python3"}
    assert start.release(root, process) == "32.0.0"


SECRET = "hunter2"
NOVA_CONF = f"""\
[DEFAULT]
transport_url = rabbit://nova:{SECRET}@mq/
# password = {SECRET}
[database]
connection = mysql://nova:{SECRET}@db/nova
[keystone_authtoken]
password =
 {SECRET}
[libvirt]
live_migration_permit_post_copy = true
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """A process that is called nova-compute, its configuration in a directory of its own."""
    script = tmp_path / "nova-compute"
    script.write_text("import sys\nprint(flush=True)\nsys.stdin.read()\n")
    (tmp_path / "nova.conf").write_text(NOVA_CONF)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "x.conf").write_text("[libvirt]\nlive_migration_downtime = 300\n")
    process = subprocess.Popen(
        [sys.executable, str(script), "--config-file", str(tmp_path / "nova.conf"),
         f"--config-dir={tmp_path / 'conf.d'}", f"--password={SECRET}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={"OS_LIBVIRT__CPU_MODE": "none", "OS_DATABASE__CONNECTION": SECRET},
    )  # fmt: skip
    assert process.stdout
    process.stdout.readline()
    yield tmp_path
    process.communicate()


def test_a_running_nova_compute_is_asked_and_nothing_secret_is_told(running: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-"],
        input=program({"nova": {}}), capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert SECRET not in done.stdout + done.stderr
    section = parse("here", done.stdout)["sections"]["nova"]
    assert "error" not in section, json.dumps(section)[:300]
    facts = NovaFacts.of(Evidence(section))
    conf = facts.configuration
    assert (facts.compute, facts.running, facts.stale) == (True, True, ())
    assert list(facts.files) == [str(running / "nova.conf"), str(running / "conf.d/x.conf")]
    assert conf.value("live_migration_permit_post_copy") is True
    assert conf.where("live_migration_permit_post_copy") == f"{running / 'nova.conf'}:10"
    assert conf.value("live_migration_downtime") == 300
    assert conf.where("cpu_mode") == "the environment"
