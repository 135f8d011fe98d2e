"""Checks of one host: recorded ones pass, and each fault is named."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.libvirt.readiness import CHECKS, LibvirtFacts
from postcopy.readiness import Evidence, HostSubject, Scope, Verdict

from .hosts import answer, facts, host, judge, recorded

HOST_CHECKS = [check for check in CHECKS if check.scope is Scope.HOST]
DATA = 'migration_address = "198.18.0.1"\nmigration_host = "198.18.0.1"\nstdio_handler = "file"\n'


def verdicts(subject: HostSubject, *wanted: Verdict) -> dict[str, str]:
    found = [check.apply(subject) for check in HOST_CHECKS]
    return {one.id: one.saw for one in found if one.verdict in wanted}


def test_a_host_of_the_lab_is_ready() -> None:
    found = verdicts(host(recorded("trixie")), Verdict.FAIL, Verdict.WARN)
    assert set(found) == {"libvirt.daemon.resumes", "libvirt.listen.auth"}
    assert "11.3.0" in found["libvirt.daemon.resumes"]


def test_an_older_host_is_understood() -> None:
    found = facts(recorded("bookworm"))
    assert (found.version, found.qemu_version) == ((9, 0, 0), (10, 0, 2))
    assert found.uuid == "df78742b-fe0e-497e-bae2-fefa869a239a"
    assert found.account.user == "libvirt-qemu"
    assert found.account.uid == 999
    failed = verdicts(host(recorded("bookworm")), Verdict.FAIL)
    assert set(failed) == {"libvirt.daemon.virtlogd"}
    warned = verdicts(host(recorded("bookworm")), Verdict.WARN)
    assert "127.0.1.1" in warned["libvirt.migration.hostname"]


def test_a_host_without_libvirt_is_told_so_once() -> None:
    subject = host(recorded("none"))
    assert set(verdicts(subject, Verdict.FAIL, Verdict.WARN)) == {"libvirt.daemon.running"}
    assert "not installed" in judge("libvirt.daemon.running", subject).saw


def test_a_daemon_that_is_dead_is_told_so_once() -> None:
    dead = answer(code=1, err="error: failed to connect\nerror: Failed to connect socket")
    section = recorded()
    for name, told in section["commands"].items():
        if "virsh" in told.get("argv", ()):
            section["commands"][name] = dead
    section["listening"] = []
    assert set(verdicts(host(section), Verdict.FAIL, Verdict.WARN)) == {"libvirt.daemon.running"}


def test_a_user_who_may_not_ask_finds_no_fault() -> None:
    section = recorded()
    section["commands"]["version"] = answer(
        code=1, err="error: authentication unavailable: no polkit agent available"
    )
    assert judge("libvirt.daemon.running", host(section)).verdict is Verdict.SKIP


def changed(**changes: Any) -> HostSubject:
    return host(recorded("trixie", **changes))


def qemu(text: str) -> HostSubject:
    return changed(conf={"qemu": DATA + text})


def daemon(text: str) -> HostSubject:
    return changed(conf={"libvirtd": text})


def version(libvirt: str) -> HostSubject:
    said = f"Using library: libvirt {libvirt}\nRunning hypervisor: QEMU 10.0.13\n"
    return changed(commands={"version": said})


def uuid(text: str) -> HostSubject:
    said = f"<capabilities><host><uuid>{text}</uuid></host></capabilities>"
    return changed(commands={"capabilities": said})


def device(mode: int | None, version: str, text: str, sysctl: str = "0") -> HostSubject:
    node: dict[str, Any] = {"error": "ENOENT"} if mode is None else {"mode": mode}
    return changed(
        conf={"qemu": text},
        files={
            "/dev/userfaultfd": node,
            "/proc/sys/vm/unprivileged_userfaultfd": {"mode": 0o644, "text": f"{sysctl}\n"},
        },
        commands={"version": f"Using library: libvirt {version}\nRunning hypervisor: QEMU 10.0.0"},
    )


LISTED = 'cgroup_device_acl = [ "/dev/null", "/dev/userfaultfd" ]\n'
UNLISTED = 'cgroup_device_acl = [ "/dev/null", "/dev/kvm" ]\n'
DEBIAN = 'user = "libvirt-qemu"\n'
FREE = "namespaces = [ ]\ncgroup_controllers = [ ]\n"
DROP = '{"nftables": [{"chain": {"family": "inet", "table": "f", "name": "input", "type":'
DROP += ' "filter", "hook": "input", "policy": "drop"}}]}'

CASES: list[tuple[str, HostSubject, str, str]] = [
    ("libvirt.daemon.running", changed(), "pass", "11.3.0"),
    ("libvirt.daemon.qemu", changed(), "pass", "10.0.13"),
    ("libvirt.daemon.qemu", changed(commands={"domcapabilities": ""}), "fail", "no QEMU"),
    ("libvirt.daemon.config", changed(), "pass", "qemu.conf"),
    ("libvirt.daemon.config", qemu("user = root\n"), "fail", "line 4 makes no sense"),
    ("libvirt.daemon.resumes", version("8.4.0"), "warn", "cannot resume"),
    ("libvirt.daemon.resumes", version("9.0.0"), "pass", "9.0.0"),
    ("libvirt.daemon.resumes", version("11.2.0"), "warn", "crashes"),
    ("libvirt.daemon.resumes", version("11.4.0"), "pass", "11.4.0"),
    ("libvirt.daemon.uuid", changed(), "pass", "a5638529"),
    ("libvirt.daemon.uuid", uuid(""), "fail", "no host UUID"),
    ("libvirt.daemon.uuid", uuid("00000000-0000-0000-0000-000000000000"), "fail", "boards"),
    ("libvirt.daemon.uuid", uuid("03000200-0400-0500-0006-000700080009"), "fail", "boards"),
    ("libvirt.daemon.requests", changed(), "pass", "5"),
    ("libvirt.daemon.requests", daemon("max_client_requests = 1"), "fail", "= 1"),
    ("libvirt.daemon.requests", daemon("max_client_requests = 4"), "warn", "= 4"),
    ("libvirt.daemon.keepalive", changed(), "pass", "= 5"),
    ("libvirt.daemon.keepalive", qemu("keepalive_interval = -1"), "warn", "never noticed"),
    ("libvirt.daemon.keepalive", qemu("keepalive_interval = 1\nkeepalive_count = 1"), "warn",
     "2 s"),
    ("libvirt.daemon.virtlogd", changed(), "skip", "file"),
    ("libvirt.daemon.virtlogd", changed(conf={"qemu": ""}), "fail", "virtlogd-sock"),
    ("libvirt.daemon.virtlogd",
     changed(conf={"qemu": ""}, files={"/run/libvirt/virtlogd-sock": {"mode": 0o666}}), "pass", ""),
    ("libvirt.daemon.virtlockd", changed(), "skip", "no lock manager"),
    ("libvirt.daemon.virtlockd", qemu('lock_manager = "lockd"'), "fail", "virtlockd-sock"),
    ("libvirt.daemon.virtlockd", changed(conf={"qemu": 'lock_manager = "lockd"'},
     files={"/run/libvirt/virtlockd-sock": {"mode": 0o666}}), "pass", ""),
    ("libvirt.qemu.user", changed(), "pass", "root:root (0:0)"),
    ("libvirt.qemu.user", qemu(DEBIAN), "pass", "libvirt-qemu:libvirt-qemu (64055:64055)"),
    ("libvirt.qemu.user", qemu('user = "ghost"'), "fail", "no user ghost"),
    ("libvirt.qemu.user", qemu('user = "+107"\ngroup = "+107"'), "pass", "107:107"),
    ("libvirt.qemu.userfaultfd", device(0o600, "11.3.0", DEBIAN), "pass", "to each QEMU"),
    ("libvirt.qemu.userfaultfd", device(0o600, "11.3.0", DEBIAN + UNLISTED), "fail", "not given"),
    ("libvirt.qemu.userfaultfd", device(0o600, "9.0.0", DEBIAN), "skip", "closed"),
    ("libvirt.qemu.userfaultfd", device(0o666, "9.0.0", DEBIAN), "fail", "not given"),
    ("libvirt.qemu.userfaultfd", device(0o666, "9.0.0", DEBIAN + LISTED), "pass", "0666"),
    ("libvirt.qemu.userfaultfd", device(0o666, "9.0.0", DEBIAN + FREE), "pass", "0666"),
    ("libvirt.qemu.userfaultfd", device(0o600, "9.0.0", 'user = "root"\n'), "pass", "is root"),
    ("libvirt.qemu.userfaultfd", device(None, "9.0.0", DEBIAN), "skip", "there is no"),
    ("libvirt.qemu.userfaultfd", device(None, "9.0.0", DEBIAN, "1"), "pass", "every user"),
    ("libvirt.qemu.seccomp", changed(), "pass", "1"),
    ("libvirt.qemu.seccomp", qemu("seccomp_sandbox = 0"), "warn", "= 0"),
    ("libvirt.listen.remote", changed(), "pass", "tcp at port 16509"),
    ("libvirt.listen.remote", changed(listening=[["00000000", 22]]), "pass", "SSH"),
    ("libvirt.listen.remote", changed(listening=[["0100007F", 16509]]), "fail", "listen_tcp = 1"),
    ("libvirt.listen.remote",
     changed(listening=[["00000000000000000000000001000000", 16514]]), "fail", "nothing"),
    ("libvirt.listen.auth", changed(), "warn", "auth_tcp"),
    ("libvirt.listen.auth", daemon('auth_tcp = "sasl"'), "pass", "authentication"),
    ("libvirt.listen.auth", changed(listening=[["00000000", 16514]],
     conf={"libvirtd": "tls_no_verify_certificate = 1"}), "warn", "any certificate"),
    ("libvirt.listen.auth", changed(listening=[]), "skip", "no connections"),
    ("libvirt.migration.address", changed(), "pass", "198.18.0.1"),
    ("libvirt.migration.address", qemu('migration_address = "127.0.0.1"'), "fail", "loopback"),
    ("libvirt.migration.address", qemu('migration_address = "192.0.2.9"'), "fail", "no such"),
    ("libvirt.migration.address", qemu('migration_address = "::"'), "pass", "every"),
    ("libvirt.migration.host", changed(), "pass", "198.18.0.1"),
    ("libvirt.migration.host", qemu('migration_host = "localhost"'), "fail", "loopback"),
    ("libvirt.migration.host", qemu('migration_host = "0.0.0.0"'), "fail", "no place"),
    ("libvirt.migration.host", changed(conf={"qemu": ""}), "pass", "its own name, alpha"),
    ("libvirt.migration.host", changed(conf={"qemu": ""}, hostname="localhost"), "fail", "itself"),
    ("libvirt.migration.hostname", changed(), "pass", "198.18.0.1"),
    ("libvirt.migration.hostname",
     changed(commands={"resolved": "127.0.1.1 STREAM alpha\n"}), "warn", "127.0.1.1"),
    ("libvirt.migration.hostname", changed(commands={"resolved": ""}), "warn", "nothing"),
    ("libvirt.migration.ports", changed(), "pass", "64 of the ports"),
    ("libvirt.migration.ports",
     qemu("migration_port_min = 50000\nmigration_port_max = 49000"), "fail", "50000"),
    ("libvirt.migration.ports",
     qemu("migration_port_min = 49152\nmigration_port_max = 49153"), "warn", "2 of the ports"),
    ("libvirt.firewall.migration", changed(), "skip", "neither"),
    ("libvirt.firewall.migration", changed(commands={"nft": DROP}), "fail", "49152 to 49215"),
    ("libvirt.firewall.migration",
     changed(commands={"iptables": "*filter\n:INPUT ACCEPT\n"}), "pass", "let in"),
    ("libvirt.firewall.migration",
     changed(commands={"iptables": "*filter\n:INPUT DROP\n-A INPUT -s 192.0.2.1 -j ACCEPT"}),
     "skip", "depends on who asks"),
    ("libvirt.firewall.daemon", changed(), "skip", "neither"),
    ("libvirt.firewall.daemon", changed(commands={"nft": DROP}), "fail", "16509"),
    ("libvirt.firewall.daemon", changed(commands={"nft": DROP}, listening=[]), "skip", "takes no"),
    ("libvirt.firewall.daemon",
     changed(commands={"nft": '{"nftables": []}'}), "pass", "16509"),
]  # fmt: skip


@pytest.mark.parametrize(("id_", "subject", "verdict", "said"), CASES)
def test_a_check(id_: str, subject: HostSubject, verdict: str, said: str) -> None:
    found = judge(id_, subject)
    assert found.verdict == verdict, found.saw
    assert said in found.saw
    if verdict in ("fail", "warn"):
        assert found.remedy


def test_every_check_is_tried() -> None:
    tls = {check.id for check in HOST_CHECKS if "tls." in check.id}  # see test_certificates
    assert {check.id for check in HOST_CHECKS} - tls == {case[0] for case in CASES}


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.sampled_from(["files", "commands", "hostname", "now", "listening"]),
    json_values,
    st.integers(0, 60),
)
def test_no_answer_is_too_strange(group: str, value: Any, which: int) -> None:
    section = recorded("bookworm")
    if isinstance(section[group], dict):
        key = sorted(section[group])[which % len(section[group])]
        section[group][key] = value
    else:
        section[group] = value
    subject = host(section)
    for check in HOST_CHECKS:
        assert check.apply(subject).verdict in Verdict


@given(st.text(), st.sampled_from(["version", "capabilities", "domcapabilities", "domains"]))
def test_no_output_is_too_strange(text: str, command: str) -> None:
    found = facts(recorded("bookworm", commands={command: text}))
    assert isinstance(found.hostname, str)


def test_an_entity_bomb_is_no_xml() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    found = facts(
        recorded(commands={"capabilities": f"{bomb}<capabilities><host><uuid>&b;</uuid></host>"})
    )
    assert found.uuid == ""


def test_nothing_at_all_is_no_libvirt() -> None:
    found = LibvirtFacts.of(Evidence(None))
    assert found.version is None
    assert found.error
