"""Who gets userfaultfd, and how: QEMU's user alone, where that is possible."""

from typing import Any

import pytest

from postcopy.kernel.facts import KernelFacts
from postcopy.libvirt.readiness import LibvirtFacts
from postcopy.readiness import (
    Command,
    Evidence,
    Facts,
    FileChange,
    Files,
    HostSubject,
    MissingFacts,
)
from postcopy.setup.userfaultfd import FIX

DEVICE = {"/dev/userfaultfd": {"mode": 0o600, "uid": 0, "gid": 0}}
ACCOUNT = {"name": "libvirt-qemu", "uid": 64055}


def plan(
    device: bool = True, account: object = ACCOUNT, qemu: str = "", versions: str = ""
) -> tuple[FileChange, Command]:
    kernel = KernelFacts.of(
        Evidence(
            {
                "files": {
                    **(DEVICE if device else {}),
                    "/proc/sys/vm/unprivileged_userfaultfd": {"text": "0\n", "mode": 0o644},
                    "/proc/sys/kernel/osrelease": {"text": "5.15.0\n", "mode": 0o444},
                },
                "account": account,
            }
        )
    )
    conf: dict[str, Any] = {"text": qemu, "mode": 0o600, "uid": 0, "gid": 0}
    libvirt = LibvirtFacts.of(
        Evidence(
            {
                "files": {"/etc/libvirt/qemu.conf": conf},
                "commands": {"version": {"argv": [], "code": 0, "out": versions}},
            }
        )
    )
    files = Files(dict.fromkeys(FIX.reads))
    file, command = FIX.plan(HostSubject("alpha", Facts([kernel, libvirt, files])))
    assert isinstance(file, FileChange)
    assert isinstance(command, Command)
    return file, command


NEW = "Using library: libvirt 11.3.0\nRunning hypervisor: QEMU 10.0.0\n"
OLD_QEMU = "Using library: libvirt 9.0.0\nRunning hypervisor: QEMU 7.2.0\n"
OLD_LIBVIRT = "Using library: libvirt 9.0.0\nRunning hypervisor: QEMU 9.0.0\n"


def test_the_device_is_for_qemu_s_user_alone() -> None:
    file, command = plan(versions=NEW)
    assert file.path.startswith("/etc/udev/rules.d/")
    assert 'OWNER="libvirt-qemu", MODE="0600"' in (file.after or "")
    assert command.argv == ("chown", "libvirt-qemu", "/dev/userfaultfd")
    assert command.undo == ("chown", "0", "/dev/userfaultfd")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"device": False}, "Linux 5.15.0 has no /dev/userfaultfd"),
        ({"versions": OLD_QEMU}, "QEMU 7.2.0 does not open"),
        ({"versions": OLD_LIBVIRT}, "a /dev of its own, without"),
    ],
)
def test_the_sysctl_is_the_way_elsewhere_and_says_why(more: dict[str, Any], reason: str) -> None:
    file, command = plan(**more)
    assert reason in file.why
    assert "vm.unprivileged_userfaultfd = 1\n" in (file.after or "")
    assert command.argv[-1] == "vm.unprivileged_userfaultfd=1"
    assert command.undo[-1] == "vm.unprivileged_userfaultfd=0"


def test_without_a_mount_namespace_old_libvirt_does_not_matter() -> None:
    assert plan(versions=OLD_LIBVIRT, qemu="namespaces = [ ]\n")[1].argv[0] == "chown"


@pytest.mark.parametrize("account", [None, {"name": 'x", MODE="0666', "uid": 1}])
def test_an_unknown_or_odd_user_gets_nothing(account: object) -> None:
    with pytest.raises(MissingFacts):
        plan(account=account)
