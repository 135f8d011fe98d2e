"""Work in child processes: whatever becomes of them, there is an answer."""

import faulthandler
import os
import signal
import time
from pathlib import Path
from typing import NoReturn

import pytest

from postcopy.probe import account, collect
from postcopy.probe.account import Account, qemu_account
from postcopy.probe.child import call, call_all


def hang() -> NoReturn:
    while True:
        time.sleep(60)


def crash() -> dict[str, object]:
    faulthandler.disable()  # it is meant, and nobody needs to read of it
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}


def stumble() -> dict[str, object]:
    raise ZeroDivisionError("by nothing")


def test_what_the_child_found_comes_back_whole() -> None:
    large = {"text": "x" * 1_000_000}
    assert call(lambda: large) == large


def test_a_child_that_hangs_crashes_or_stumbles_is_told_of() -> None:
    assert call(hang, seconds=0.05) == {"error": "timed out"}
    assert call(crash) == {"error": "was ended by signal 11"}
    assert call(stumble) == {"error": "ZeroDivisionError: by nothing"}


def test_what_a_child_started_ends_with_it(tmp_path: Path) -> None:
    def leave() -> dict[str, object]:
        return {"pid": os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "600")}

    pid = call(leave)["pid"]
    for _ in range(1000):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except FileNotFoundError:
            return
        os.sched_yield()
    pytest.fail("it lives")


def test_several_run_side_by_side() -> None:
    told = call_all({"a": lambda: {"n": 1}, "b": stumble})
    assert told == {"a": {"n": 1}, "b": {"error": "ZeroDivisionError: by nothing"}}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_child_is_whom_it_should_be() -> None:
    told = call(
        lambda: {"uid": os.getuid(), "gid": os.getgid(), "root": 0 in os.getgroups()},
        Account("nobody", 65534, 65534, "a test"),
    )
    assert told == {"uid": 65534, "gid": 65534, "root": False}


@pytest.mark.parametrize(
    ("conf", "uid"),
    [
        ('user = "nobody"\n', 65534),
        ('#user = "nobody"\nuser = "+0"   # as before\n', 0),
        ('user = "root"\nuser="65534"\n', 65534),
        ('  user="root"\ngroup = "root"\n', 0),
    ],
)
def test_qemus_user_is_read_from_libvirts_configuration(
    conf: str, uid: int, tmp_path: Path
) -> None:
    path = tmp_path / "qemu.conf"
    path.write_text(conf)
    found = qemu_account(str(path))
    assert (found.uid, found.source) == (uid, str(path))


@pytest.mark.parametrize("conf", ['user = "no-such-user"\n', "user = \n", "\x00\xff", ""])
def test_a_configuration_that_names_nobody_leaves_the_default(conf: str, tmp_path: Path) -> None:
    path = tmp_path / "qemu.conf"
    path.write_text(conf)
    assert qemu_account(str(path)).source != str(path)


FOUND = {"argv": ["virsh", "--version"], "code": 0, "err": ""}


@pytest.mark.parametrize(
    ("conf", "version", "granted"),
    [
        ("", "11.3.0", True),
        ("", "10.1.0", True),
        ("", "10.0.0", False),
        ("", "", False),
        ("namespaces = [ ]", "11.3.0", False),
        ('namespaces = [ "mount" ]', "11.3.0", True),
        ('cgroup_device_acl = [\n  "/dev/null",\n  "/dev/kvm"\n]', "11.3.0", False),
        ('cgroup_device_acl = [\n  "/dev/null", "/dev/userfaultfd"\n]', "11.3.0", True),
        ('#namespaces = [ ]\n#cgroup_device_acl = [ "/dev/kvm" ]', "11.3.0", True),
    ],
)
def test_newer_libvirts_open_the_device_to_their_qemus(
    conf: str, version: str, granted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "qemu.conf"
    path.write_text(f'user = "nobody"\n{conf}\n')
    monkeypatch.setattr(collect, "run", lambda argv: {**FOUND, "out": f"{version}\n"})
    monkeypatch.setattr(account, "_DEVICE", "/dev/null" if "acl" not in conf else account._DEVICE)
    if Path(account._DEVICE).exists():
        assert qemu_account(str(path)).granted is granted


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/userfaultfd").exists(), reason="needs root and the device"
)
def test_whom_the_device_is_opened_to_has_it_and_nobody_else() -> None:
    before = Path("/dev/userfaultfd").stat()

    def look() -> dict[str, int]:
        with open("/dev/userfaultfd", "rb") as device:  # noqa: PTH123 - to open is the test
            return {"uid": os.fstat(device.fileno()).st_uid}

    told = call(look, Account("nobody", 65534, 65534, "a test", granted=True))
    assert told == {"uid": 65534}
    assert Path("/dev/userfaultfd").stat() == before
