"""Checks of libvirt's daemon and of what it runs QEMU with."""

from postcopy import known_issues
from postcopy.libvirt.readiness.checks.catalogue import (
    CHECKS,
    answering,
    libvirt_of,
    version_text,
)
from postcopy.libvirt.readiness.facts import USERFAULTFD, LibvirtFacts
from postcopy.readiness import HostSubject, Result, failed, passed, skipped, warned

__all__: list[str] = []

_CAN_RESUME = (8, 5, 0)


@CHECKS.host(
    "libvirt.daemon.running",
    title="the libvirt daemon runs and answers",
    why="Nothing moves from or to a host whose libvirt daemon does not answer.",
    remedy="systemctl enable --now libvirtd.service (or virtqemud.socket)",
    fix="libvirt.daemon",
)
def running(host: HostSubject) -> Result:
    facts = host.facts.of(LibvirtFacts)
    if not facts.installed:
        return failed("libvirt is not installed", "apt install libvirt-daemon-system")
    if facts.refused:
        return skipped(f"this user may not ask it: {facts.error}")
    if facts.error:
        return failed(f"virsh -c qemu:///system version: {facts.error}")
    return passed(f"libvirt {version_text(facts.version)} answers")


@CHECKS.host(
    "libvirt.daemon.qemu",
    title="libvirt finds a QEMU that it can use",
    why="A daemon without a QEMU takes no guest in.",
    remedy="install qemu-system-x86 (or qemu-kvm), then restart the daemon",
)
def qemu(host: HostSubject) -> Result:
    facts = answering(host)
    if facts.qemu_version is None or not facts.virttype:
        return failed("virsh version and domcapabilities name no QEMU")
    return passed(f"QEMU {version_text(facts.qemu_version)}, guests of type {facts.virttype}")


@CHECKS.host(
    "libvirt.daemon.config",
    title="libvirt's configuration files can be read",
    why="A daemon does not start again after a line that makes no sense in its file.",
    remedy="correct the line; `libvirtd --verbose` says what is wrong with it",
)
def config(host: HostSubject) -> Result:
    facts = libvirt_of(host)
    if facts.broken_files:
        return failed(
            "; ".join(
                f"{path}: line {', '.join(map(str, lines[:5]))} makes no sense"
                for path, lines in facts.broken_files
            )
        )
    return passed("libvirtd.conf, virtqemud.conf, virtproxyd.conf, qemu.conf")


@CHECKS.host(
    "libvirt.daemon.resumes",
    title="an interrupted post-copy can be taken up again by libvirt",
    why="A cut link in post-copy leaves the guest paused; resuming it is the only way on.",
    remedy="upgrade libvirt; until then `postcopy recover` goes round it through QEMU's monitors",
    since="libvirt 8.5.0; crashes the destination's daemon in 11.2 and 11.3",
)
def resumes(host: HostSubject) -> Result:
    version = answering(host).version
    if version is None:
        return skipped("its version is not known")
    if version < _CAN_RESUME:
        return warned(f"libvirt {version_text(version)} cannot resume post-copy")
    crash = known_issues.issue("resume-crash")
    if crash.affects(version):
        return warned(f"libvirt {version_text(version)}: {crash.what}; {crash.remedy}")
    return passed(f"libvirt {version_text(version)}")


@CHECKS.host(
    "libvirt.daemon.uuid",
    title="the host has a UUID of its own",
    why="libvirt takes two hosts of one UUID for the same host, and refuses to migrate.",
    remedy='put host_uuid = "$(uuidgen)" into /etc/libvirt/libvirtd.conf (or virtqemud.conf)',
    fix="libvirt.daemon.uuid",
)
def uuid(host: HostSubject) -> Result:
    found = answering(host).uuid
    digits = found.replace("-", "")
    if not digits:
        return failed("virsh capabilities names no host UUID")
    if found in _COMMON_UUIDS or len(set(digits)) <= 2:
        return failed(f"{found} is what boards are made with, not this host's own")
    return passed(found)


_COMMON_UUIDS = {
    "03000200-0400-0500-0006-000700080009",
    "00020003-0004-0005-0006-000700080009",
    "12345678-1234-5678-90ab-cddeefaabbcc",
    "12345678-1234-1234-1234-123456789abc",
    "01020304-0506-0708-090a-0b0c0d0e0f10",
}
"""UUIDs that vendors left on whole series of boards."""


@CHECKS.host(
    "libvirt.daemon.requests",
    title="one connection may have several calls under way",
    why="During a migration a client waits in one call and needs others to watch and steer it.",
    remedy="remove max_client_requests from libvirtd.conf: 5 is the default",
    fix="libvirt.daemon.requests",
)
def requests(host: HostSubject) -> Result:
    wanted = libvirt_of(host).daemon.number("max_client_requests", 5)
    if wanted < 3:
        return failed(f"max_client_requests = {wanted}")
    if wanted < 5:
        return warned(f"max_client_requests = {wanted}")
    return passed(f"max_client_requests is {wanted}")


@CHECKS.host(
    "libvirt.daemon.keepalive",
    title="the daemon notices a peer that is gone, and not one that is slow",
    why="Peer-to-peer migration learns of a dead destination by keepalive alone, and gives up at"
    " once when it is too impatient.",
    remedy="remove keepalive_interval and keepalive_count from qemu.conf: 5 times 5 s",
    fix="libvirt.daemon.keepalive",
)
def keepalive(host: HostSubject) -> Result:
    conf = libvirt_of(host).qemu
    interval, count = conf.number("keepalive_interval", 5), conf.number("keepalive_count", 5)
    saw = f"qemu.conf: keepalive_interval = {interval}, keepalive_count = {count}"
    if interval <= 0:
        return warned(f"{saw}: a dead peer is never noticed")
    if interval * (count + 1) < 10:
        return warned(f"{saw}: a peer that is silent for {interval * (count + 1)} s is given up")
    return passed(saw)


@CHECKS.host(
    "libvirt.daemon.virtlogd",
    title="virtlogd is there where QEMU's output goes to it",
    why="No guest starts, nor arrives, when libvirt cannot reach virtlogd.",
    remedy="systemctl enable --now virtlogd.socket",
    fix="libvirt.daemon.virtlogd",
)
def virtlogd(host: HostSubject) -> Result:
    facts = libvirt_of(host)
    handler = facts.qemu.text("stdio_handler", "logd")
    if handler != "logd":
        return skipped(f'stdio_handler is "{handler}"')
    if "virtlogd" not in facts.sockets:
        return failed("there is no /run/libvirt/virtlogd-sock")
    return passed("/run/libvirt/virtlogd-sock")


@CHECKS.host(
    "libvirt.daemon.virtlockd",
    title="virtlockd is there where disks are locked by it",
    why="Without its lock manager no guest starts, nor arrives.",
    remedy="systemctl enable --now virtlockd.socket",
    fix="libvirt.daemon.virtlockd",
)
def virtlockd(host: HostSubject) -> Result:
    facts = libvirt_of(host)
    manager = facts.qemu.text("lock_manager")
    if manager != "lockd":
        return skipped("no lock manager is set" if not manager else f'it is "{manager}"')
    if "virtlockd" not in facts.sockets:
        return failed("there is no /run/libvirt/virtlockd-sock")
    return passed("/run/libvirt/virtlockd-sock")


@CHECKS.host(
    "libvirt.qemu.user",
    title="the user and group that QEMU runs as exist",
    why="A guest cannot start, nor arrive, as nobody.",
    remedy="correct user and group in /etc/libvirt/qemu.conf",
    fix="libvirt.qemu.user",
)
def user(host: HostSubject) -> Result:
    account = libvirt_of(host).account
    missing = [
        f"{kind} {name}"
        for kind, name, number in (
            ("user", account.user, account.uid),
            ("group", account.group, account.gid),
        )
        if number is None
    ]
    if missing:
        return failed(f"there is no {' and no '.join(missing)}")
    return passed(f"{account.user}:{account.group} ({account.uid}:{account.gid})")


@CHECKS.host(
    "libvirt.qemu.userfaultfd",
    title="libvirt leaves QEMU the way to userfaultfd that it needs",
    why="Each QEMU sees only the devices on libvirt's list; without /dev/userfaultfd on it, or the"
    " system call for everybody, post-copy is not supported.",
    remedy="add /dev/userfaultfd to cgroup_device_acl in qemu.conf, or:"
    " sysctl vm.unprivileged_userfaultfd=1",
    fix="libvirt.qemu.devices",
    since="libvirt 10.1.0 has it on its list, and opens it to each QEMU",
)
def userfaultfd(host: HostSubject) -> Result:
    facts = answering(host)
    if facts.unprivileged_userfaultfd in (None, 1):
        return passed("every user may make the system call: the device is not needed")
    if facts.account.uid == 0:
        return passed("QEMU is root, and may make the system call: the device is not needed")
    if facts.device_mode is None:
        return skipped(f"there is no {USERFAULTFD} to let through")
    if facts.confined and not facts.device_listed:
        if not facts.could_grant_userfaultfd and not facts.device_open:
            return skipped(f"{USERFAULTFD} is closed to QEMU's user: kernel.userfaultfd.permitted")
        return failed(f"vm.unprivileged_userfaultfd is 0, and QEMU is not given {USERFAULTFD}")
    if facts.grants_userfaultfd:
        return passed(f"libvirt opens {USERFAULTFD} to each QEMU")
    return passed(f"QEMU sees {USERFAULTFD}, with mode {facts.device_mode:04o}")


@CHECKS.host(
    "libvirt.qemu.seccomp",
    title="QEMU's sandbox of system calls is on",
    why="Post-copy works with it; it was switched off for nothing, and guards the host.",
    remedy="remove seccomp_sandbox from /etc/libvirt/qemu.conf",
    fix="libvirt.qemu.seccomp",
)
def seccomp(host: HostSubject) -> Result:
    wanted = libvirt_of(host).qemu.number("seccomp_sandbox", 1)
    return warned("seccomp_sandbox = 0") if wanted == 0 else passed(f"seccomp_sandbox is {wanted}")
