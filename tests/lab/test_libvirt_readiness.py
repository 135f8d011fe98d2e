"""libvirt's floor of the readiness check, on two real hosts: ready, and broken in a few ways."""

import asyncio
import datetime
from collections.abc import Iterator, Sequence

import pytest

from postcopy.doctor import Examination, examine, select
from postcopy.hosts import LocalHost
from postcopy.lab.host import Host
from postcopy.lab.lab import Lab
from postcopy.readiness import Finding, Verdict
from tests.unit.libvirt.readiness.pki import Authority

from .commands import postcopy
from .conftest import LAB, RATE

pytestmark = pytest.mark.lab

GUEST = "checked"
ALWAYS = {"libvirt.daemon.resumes", "libvirt.listen.auth"}
"""What is to be said of every lab: its libvirt's version, and that it takes calls from anybody."""


_RESTART = """
kill $(pidof libvirtd)
while pidof libvirtd; do sleep 0.05; done
libvirtd --daemon --listen --pid-file /run/libvirtd.pid
until virsh version; do sleep 0.05; done
"""
_NOWHERE = """
sed -i '/^migration_host/d' /etc/libvirt/qemu.conf
echo 'migration_host = "nobody.invalid"' >> /etc/libvirt/qemu.conf
"""

_AS_DEBIAN = """
sed -i '/^user/d; /^group/d; /^namespaces/d' /etc/libvirt/qemu.conf
echo 'user = "libvirt-qemu"' >> /etc/libvirt/qemu.conf
"""


class Hosts:
    """The hosts of a lab, and what the checks find out about them."""

    def __init__(self, lab: Lab) -> None:
        self.alpha, self.beta = (lab.host(name) for name in ("alpha", "beta"))

    def examine(
        self, guest: str | None = None, only: Sequence[str] = ("libvirt.*",)
    ) -> Examination:
        both = [
            LocalHost(one.name, one.command(), one.environment()) for one in (self.alpha, self.beta)
        ]
        return asyncio.run(examine(both, select(only), guest=guest))

    def wrong(self) -> set[tuple[str, str]]:
        """Return whom each fault is of, beyond what is always said."""
        found = self.examine().findings
        return {(one.subject, one.id) for one in found if is_wrong(one) and one.id not in ALWAYS}

    def restart(self, host: Host) -> None:
        self.run(host, _RESTART)

    def run(self, host: Host, script: str, stdin: str | None = None) -> None:
        asyncio.run(host.run("sh", "-c", script, stdin=stdin, timeout=30.0))


def is_wrong(finding: Finding) -> bool:
    return finding.verdict in (Verdict.FAIL, Verdict.WARN)


@pytest.fixture
def hosts(moves_lab: Lab) -> Iterator[Hosts]:
    asyncio.run(moves_lab.up())
    asyncio.run(moves_lab.link().set_rate(RATE))
    made = Hosts(moves_lab)
    for one in (made.alpha, made.beta):
        made.run(one, "mkdir /root/etc; cp -a /etc/libvirt /etc/pki /root/etc")
    yield made
    for one in (made.alpha, made.beta):
        made.run(one, "rm -rf /etc/libvirt /etc/pki; mv /root/etc/* /etc; rmdir /root/etc")
        made.restart(one)


def test_a_pair_and_a_guest_of_the_lab_are_ready(hosts: Hosts) -> None:
    sizes = ("--cold", "16", "--hot", "16")
    postcopy("lab", "guest", GUEST, "--lab", LAB, "--host", "alpha", *sizes)
    try:
        found = hosts.examine(GUEST).findings
    finally:
        postcopy("lab", "guest", GUEST, "--lab", LAB, "--stop")
    assert {one.id for one in found if is_wrong(one)} == ALWAYS
    passed = {one.id for one in found if one.verdict is Verdict.PASS}
    proven = ("migration-ports", "daemon-ports", "bandwidth", "round-trip", "mtu", "cpu")
    assert {f"libvirt.pair.{name}" for name in proven} <= passed
    assert {"libvirt.guest.cpu", "libvirt.guest.blocked", "libvirt.guest.machine"} <= passed


def test_a_destination_whose_name_nobody_knows(hosts: Hosts) -> None:
    hosts.run(hosts.beta, _NOWHERE)
    assert hosts.wrong() == {
        ("alpha -> beta", "libvirt.pair.resolution"),
        ("beta", "libvirt.migration-tls.names"),  # nobody is its certificate's name for it either
    }


def test_a_daemon_that_is_gone(hosts: Hosts) -> None:
    hosts.run(hosts.beta, "kill $(pidof libvirtd)")
    assert hosts.wrong() == {("beta", "libvirt.daemon.running")}


def test_two_hosts_of_one_uuid(hosts: Hosts) -> None:
    uuid = "5f0f2b5e-2f55-4b0e-9d0f-0c3a1d9f2b11"
    for one in (hosts.alpha, hosts.beta):
        hosts.run(one, f"sed -i '/^host_uuid/d' /etc/libvirt/libvirtd.conf;"
                  f" echo 'host_uuid = \"{uuid}\"' >> /etc/libvirt/libvirtd.conf")  # fmt: skip
        hosts.restart(one)
    pairs = ("alpha -> beta", "beta -> alpha")
    assert hosts.wrong() == {(pair, "libvirt.pair.uuid") for pair in pairs}


def test_qemu_as_debian_has_it_may_use_userfaultfd(hosts: Hosts) -> None:
    """Not root, the device closed, the system call too: libvirt opens the device to each QEMU."""
    hosts.run(hosts.alpha, _AS_DEBIAN)
    hosts.restart(hosts.alpha)
    only = ("kernel.userfaultfd.permitted", "qemu.postcopy.*", "libvirt.qemu.*")
    found = [one for one in hosts.examine(only=only).findings if one.subject == "alpha"]
    assert not [one for one in found if one.verdict is Verdict.FAIL]
    [user] = [one for one in found if one.id == "libvirt.qemu.user"]
    assert "libvirt-qemu" in user.saw

    hosts.run(hosts.alpha, """echo 'cgroup_device_acl = ["/dev/null"]' >> /etc/libvirt/qemu.conf""")
    found = [one for one in hosts.examine(only=only).findings if one.subject == "alpha"]
    assert "libvirt.qemu.userfaultfd" in {one.id for one in found if one.verdict is Verdict.FAIL}


def test_handshakes_with_real_certificates(hosts: Hosts) -> None:
    now = datetime.datetime.now(datetime.UTC)
    ours, theirs = Authority("ours", now), Authority("theirs", now)
    for one in (hosts.alpha, hosts.beta):
        install(hosts, one, ours)
        hosts.restart(one)
    found = hosts.examine().findings
    passed = {one.id for one in found if one.verdict is Verdict.PASS}
    assert {one.id for one in found if is_wrong(one)} == ALWAYS
    kinds = ("tls", "migration-tls")
    names = ("complete", "chain", "names", "validity", "keys")
    assert {f"libvirt.{kind}.{name}" for kind in kinds for name in names} <= passed
    assert {f"libvirt.pair.{kind}" for kind in kinds} <= passed

    install(hosts, hosts.alpha, theirs)
    hosts.restart(hosts.alpha)
    assert hosts.wrong() == {
        (pair, f"libvirt.pair.{kind}")
        for kind in kinds
        for pair in ("alpha -> beta", "beta -> alpha")
    }


def install(hosts: Hosts, host: Host, authority: Authority) -> None:
    """Give a host certificates of an authority, for its daemon and for QEMU."""
    issued = authority.issue(host.name, host.data_address)
    pki = "/etc/pki"
    hosts.run(host, f"mkdir -p {pki}/CA {pki}/libvirt/private {pki}/qemu")
    for path in (f"{pki}/CA/cacert.pem", f"{pki}/qemu/ca-cert.pem"):
        hosts.run(host, f"cat > {path}", authority.certificate)
    for role in ("server", "client"):
        for path in (f"{pki}/libvirt/{role}cert.pem", f"{pki}/qemu/{role}-cert.pem"):
            hosts.run(host, f"cat > {path}", issued.certificate)
        for path in (f"{pki}/libvirt/private/{role}key.pem", f"{pki}/qemu/{role}-key.pem"):
            hosts.run(host, f"umask 077; cat > {path}", issued.key)
