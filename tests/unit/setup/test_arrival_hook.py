"""libvirt's hook by which domains arrive with a second monitor."""

import stat
import subprocess
from pathlib import Path

import pytest

from postcopy.libvirt.monitor import default_path, monitor_of, with_monitor, without_monitor
from postcopy.setup.arrival_hook import PATH, plan_hook

DOMAIN = """<domain type='kvm' id='3'>
  <name>instance-0000002a</name>
  <devices>
  </devices>
</domain>
"""


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    """The file as it is put on a host."""
    [file] = plan_hook("h1", None).files
    assert (file.path, stat.S_IMODE(file.mode)) == (PATH, 0o755)
    path = tmp_path / "postcopy"
    path.write_text(file.after or "")
    path.chmod(file.mode)
    return path


def answer(hook: Path, *arguments: str, xml: str = DOMAIN) -> str:
    """Run it as libvirt does."""
    return subprocess.run(
        [hook, "instance-0000002a", *arguments, "-"],
        input=xml, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def test_what_arrives_has_a_second_monitor_where_recovery_looks_for_one(hook: Path) -> None:
    arrived = answer(hook, "migrate", "begin")
    assert monitor_of(arrived) == default_path("instance-0000002a")
    assert without_monitor(arrived).replace(
        " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'", ""
    ) == DOMAIN  # fmt: skip


def test_arguments_of_others_are_kept(hook: Path) -> None:
    theirs = DOMAIN.replace(
        "</domain>",
        "  <qemu:commandline>\n    <qemu:arg value='-foo'/>\n  </qemu:commandline>\n</domain>",
    ).replace("<domain ", "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' ")
    arrived = answer(hook, "migrate", "begin", xml=theirs)
    assert "value='-foo'" in arrived
    assert monitor_of(arrived) is not None


@pytest.mark.parametrize(
    ("arguments", "xml"),
    [
        (("prepare", "begin"), DOMAIN),
        (("started", "begin"), DOMAIN),
        (("migrate", "begin"), with_monitor(DOMAIN, "/run/own.monitor")),
        (("migrate", "begin"), DOMAIN.replace("'kvm'", "'xen'")),
    ],
)
def test_all_else_stays_as_it_is(hook: Path, arguments: tuple[str, ...], xml: str) -> None:
    assert answer(hook, *arguments, xml=xml) == ""


def test_a_host_that_has_it_needs_nothing(hook: Path) -> None:
    assert plan_hook("h1", hook.read_text()).empty
    [restart] = plan_hook("h1", "an older one").restarts
    assert restart.service == "libvirtd.service"
