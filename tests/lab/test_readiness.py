"""Hosts are broken one way at a time: check names the fault, set-up mends it, undo brings it back.

The hosts are a lab's, with Nova's configuration as an operator would have it. What no fault
concerns (that there is no KVM, that services do not run) is found at the beginning, and left out.
"""

import asyncio
import datetime
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from postcopy import pki
from postcopy.doctor import examine, select
from postcopy.hosts import LocalHost
from postcopy.lab import credentials, libvirtd, sshd
from postcopy.lab.lab import Lab
from postcopy.readiness import Verdict
from postcopy.setup import Record

from .commands import data, postcopy, spawn
from .faults import AS_QEMU, FAULTS, HEALTHY, PAIR_FAULTS, Fault

pytestmark = pytest.mark.lab

LAB = "t-ready"
SLOW = ("qemu.postcopy.works", "qemu.kvm*")
"""Proofs that boot something; the test of all checks has them."""

TREES = "etc/libvirt etc/pki etc/hosts etc/nova etc/sysctl.d etc/udev etc/nftables.conf"
PLACES = f"{TREES} usr/bin/qemu-system-x86_64"
STATE = f"""
cd /
find {TREES} -type f -print0 | sort -z | xargs -0 stat -c '%n %a %U:%G'
find {TREES} -type f -print0 | sort -z | xargs -0 sha256sum
stat -c '%n %a %U' /dev/userfaultfd
cat /proc/sys/net/ipv4/tcp_retries2
nft list ruleset
"""
RESTORE = f"""
cd /
nft flush ruleset
rm -rf {TREES}
tar xpf /run/healthy.tar
chown root /dev/userfaultfd
chmod 0600 /dev/userfaultfd
sysctl -qw net.ipv4.tcp_retries2=5
"""
STOP = "kill $(pidof libvirtd); while pidof libvirtd >/dev/null; do sleep 0.02; done\n"
START = "/usr/sbin/libvirtd --daemon --listen --pid-file /run/libvirtd.pid\n"

Found = set[tuple[str, str]]


class Site:
    """Two hosts, and what is found on them when nothing is broken."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.authority = str(credentials.keys_directory(lab.host("beta")) / "authority")
        for host in ("alpha", "beta"):
            address = lab.host(host).data_address
            self.sh(host, HEALTHY.replace("ADDRESS", address))
            self.sh(host, "sysctl -qw net.ipv4.tcp_retries2=5; mkdir -p /etc/udev/rules.d")
            self.sh(host, f"cd /; touch etc/nftables.conf; tar cpf /run/healthy.tar {PLACES}")
        self.pids = {host: self.sh(host, "pidof libvirtd") for host in ("alpha", "beta")}
        self.healthy = self.look("alpha", "beta")

    def sh(self, host: str, script: str, check: bool = True) -> str:
        done = asyncio.run(self.lab.host(host).run("sh", "-c", script, check=check, timeout=30))
        return done.stdout

    def look(self, *hosts: str, only: tuple[str, ...] = ()) -> Found:
        """Return what is wrong, by the check's id and whom it is about."""
        ways = [
            LocalHost(name, host.command(), host.environment())
            for name in hosts
            for host in [self.lab.host(name)]
        ]
        found = asyncio.run(examine(ways, select(only, () if only else SLOW)))
        wrong = (Verdict.FAIL, Verdict.WARN)
        return {(one.id, one.subject) for one in found.findings if one.verdict in wrong}

    def new(self, *hosts: str) -> set[str]:
        """Return the ids of checks that find fault, and did not before."""
        return {id_ for id_, _ in self.look(*hosts) - self.healthy}

    def state(self, host: str) -> str:
        """Return the bytes, modes and owners of all that may be changed."""
        return self.sh(host, STATE)

    def certify(self, fault: Fault) -> None:
        """Put a certificate where the fault's script takes it from."""
        host = self.lab.host("beta")
        now = datetime.datetime.now(datetime.UTC)
        authority = (
            pki.Authority.create("a stranger", now)
            if fault.stranger
            else pki.Authority.load(Path(self.authority))
        )
        assert fault.certificate is not None
        names, days = fault.certificate
        issued = authority.issue(
            "beta",
            now - datetime.timedelta(days=30),
            dns=names,
            addresses=[host.data_address, host.control_address] if "beta" in names else [],
            lifetime=datetime.timedelta(days=30 + days),
        )
        place = host.runtime_dir / "fault"
        place.mkdir(exist_ok=True)
        (place / "cert.pem").write_bytes(issued.certificate)
        pki.write_private(place / "key.pem", issued.key)

    def break_(self, fault: Fault, host: str = "beta") -> None:
        if fault.certificate is not None:
            self.certify(fault)
        peer = libvirtd.host_uuid(self.lab.host("alpha"))
        self.sh(host, fault.script.replace("PEER-UUID", peer), check=False)
        self.sh("alpha", fault.peer, check=False)

    def set_up(self, *hosts: str, only: Any = (), code: int = 0) -> Any:
        globs = [word for pattern in sorted(only) for word in ("--only", pattern)]
        ours = ("--lab", LAB, "--authority", self.authority, "--yes")
        return data("setup", *hosts, *ours, *globs, code=code)

    def restart_libvirtd(self, host: str) -> None:
        self.sh(host, f"{STOP}{START}")

    def move(self, guest: str, policy: str = "immediate") -> tuple[str, ...]:
        """Return the command that moves a guest from alpha to beta."""
        uris = {name: libvirtd.uris(self.lab.host(name)) for name in ("alpha", "beta")}
        there = ("--peer-uri", uris["beta"]["peer"], "--policy", policy)
        return ("migrate", guest, uris["beta"]["tcp"], "--from", uris["alpha"]["unix"], *there)

    def restore(self, *hosts: str) -> None:
        for host in hosts:
            self.sh(host, RESTORE, check=False)
            if self.pids[host] != (here := self.sh(host, "pidof libvirtd", check=False)):
                self.sh(host, f"{STOP if here else ''}{START}")
                self.pids[host] = self.sh(host, "pidof libvirtd")
            asyncio.run(sshd.ensure(self.lab.host(host)))


@pytest.fixture(scope="module")
def hosts() -> Iterator[Site]:
    lab = Lab(LAB)
    asyncio.run(lab.down())
    asyncio.run(lab.up())
    yield Site(lab)
    asyncio.run(lab.down())


@pytest.fixture
def site(hosts: Site) -> Iterator[Site]:
    yield hosts
    hosts.restore("alpha", "beta")


@pytest.fixture
def beta(hosts: Site) -> Iterator[Site]:
    yield hosts
    hosts.restore("beta")


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_is_named_mended_and_brought_back(beta: Site, fault: Fault) -> None:
    beta.break_(fault)
    assert beta.new("beta") == fault.checks
    broken = beta.state("beta")
    if not fault.mends:  # a service may be restarted for it, and nothing is written
        plans = data("setup", "beta", "--lab", LAB, "--dry-run", code=None)
        assert not any(plan["files"] for plan in plans)
        assert beta.state("beta") == broken
        return
    done = beta.set_up("beta", only=fault.checks)
    assert set(done["mended"]) == fault.checks
    assert beta.new("beta") == set()
    undone = postcopy("setup", "--undo", done["record"], "--yes", code=None)
    assert beta.state("beta") == broken, undone.stderr


@pytest.mark.parametrize("fault", PAIR_FAULTS, ids=str)
def test_a_fault_between_two_hosts_is_named_mended_and_brought_back(
    site: Site, fault: Fault
) -> None:
    site.break_(fault)
    assert site.new("alpha", "beta") == fault.checks
    broken = {host: site.state(host) for host in ("alpha", "beta")}
    done = site.set_up("alpha", "beta", only=fault.checks)
    assert set(done["mended"]) == fault.checks
    assert site.new("alpha", "beta") == set()
    postcopy("setup", "--undo", done["record"], "--yes")
    assert {host: site.state(host) for host in ("alpha", "beta")} == broken


def test_a_guest_moves_when_all_is_mended_and_not_before(site: Site) -> None:
    """Several faults at once: QEMU without userfaultfd, a filter, an address that leads nowhere."""
    alike = {fault.name: fault for fault in FAULTS}
    for host in ("alpha", "beta"):
        site.sh(host, AS_QEMU)
        site.restart_libvirtd(host)
    for name in ("filter-drops-migrations", "sandbox-off", "two-migration-ports"):
        site.break_(alike[name])
    before = {host: site.state(host) for host in ("alpha", "beta")}
    postcopy("lab", "guest", "g", "--lab", LAB, "--cold", "16", "--hot", "16")
    try:
        refused = postcopy(*site.move("g"), code=None)
        assert refused.returncode not in (0, 70)
        assert "not supported" in refused.stderr

        done = site.set_up("alpha", "beta")
        assert "kernel.userfaultfd.permitted" in done["mended"]
        assert done["still_wrong"] == []
        again = data("setup", "alpha", "beta", "--lab", LAB, "--yes")
        assert again == []

        assert data(*site.move("g"))["phase"] == "completed"
        verdict = data("lab", "guest", "g", "--lab", LAB, "--verify")
        assert verdict["pages_wrong"] == 0
    finally:
        postcopy("lab", "guest", "g", "--lab", LAB, "--stop")
    postcopy("setup", "--undo", done["record"], "--yes")
    assert {host: site.state(host) for host in ("alpha", "beta")} == before


def test_one_that_is_killed_goes_on_where_it_stopped(beta: Site) -> None:
    beta.sh("beta", "sysctl -qw net.ipv4.tcp_retries2=15")
    for name in ("sandbox-off", "two-migration-ports", "own-name-is-loopback"):
        beta.break_({fault.name: fault for fault in FAULTS}[name])
    broken = beta.state("beta")
    only = ("--only", "kernel.retries", "--only", "libvirt.qemu.*", "--only", "libvirt.migration.*")
    with spawn("setup", "beta", "--lab", LAB, "--yes", *only) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if "writing /etc/hosts" in line or "writing /etc/libvirt" in line:
                running.send_signal(signal.SIGKILL)
                break
    assert Record.every()[-1].state == "stopped"

    looked = postcopy("setup", "beta", "--lab", LAB, "--dry-run", *only, code=None)
    assert "stopped at step" in looked.stderr
    refused = postcopy("setup", "beta", "--lab", LAB, *only, code=65)
    assert "--undo" in refused.stderr

    postcopy("setup", "beta", "--lab", LAB, "--yes", *only)
    assert beta.new("beta") == set()
    for record in reversed(Record.every()):
        postcopy("setup", "--undo", record.id, "--yes")
    assert beta.state("beta") == broken


def test_nothing_is_changed_while_a_guest_is_on_its_way(site: Site) -> None:
    asyncio.run(site.lab.link().set_rate(2_000_000))
    postcopy("lab", "guest", "slow", "--lab", LAB, "--cold", "32", "--hot", "32")
    fault = {fault.name: fault for fault in FAULTS}["sandbox-off"]
    only = ("--only", "libvirt.qemu.seccomp")
    with spawn(*site.move("slow", policy="precopy")) as moving:
        try:
            assert moving.stderr is not None
            next(line for line in moving.stderr if "setup -> precopy" in line)
            site.break_(fault)
            broken = site.state("beta")
            refused = postcopy("setup", "beta", "--lab", LAB, "--yes", *only, code=65)
            assert "guest slow is being migrated" in refused.stderr
            assert site.state("beta") == broken
        finally:
            postcopy("cancel", "slow", code=None)
            moving.send_signal(signal.SIGINT)
    postcopy("lab", "guest", "slow", "--lab", LAB, "--stop")
    asyncio.run(site.lab.link().set_rate(125_000_000))


def test_what_is_written_for_ansible_does_the_same(beta: Site, tmp_path: Path) -> None:
    alike = {fault.name: fault for fault in FAULTS}
    names = ("sandbox-off", "own-name-is-loopback", "nova-gives-up", "cut-noticed-too-late")
    for name in (*names, "filter-drops-migrations"):
        beta.break_(alike[name])
    checks = set().union(*(alike[name].checks for name in names)) | {"libvirt.firewall.migration"}
    assert beta.new("beta") == checks
    broken = beta.state("beta")
    only = [word for check in sorted(checks) for word in ("--only", check)]
    ours = ("setup", "beta", "--lab", LAB, *only)
    postcopy(*ours, "--emit", "ansible", "-o", str(tmp_path))
    assert beta.state("beta") == broken

    host = beta.lab.host("beta")
    inventory = tmp_path / "hosts.yml"
    about = {
        "ansible_host": host.control_address,
        "ansible_user": "root",
        "ansible_ssh_executable": str(credentials.ssh_command(host)),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"beta": about}}}))
    first = _ansible(inventory, tmp_path)
    assert first["failed"] == 0
    assert first["changed"] > 0
    assert _ansible(inventory, tmp_path)["changed"] == 0
    assert beta.new("beta") == set()


def _ansible(inventory: Path, directory: Path) -> dict[str, int]:
    """Run the playbook; return how many tasks did what, as the last lines count them."""
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    with tempfile.TemporaryDirectory() as sockets:  # a test's own has too long a path for them
        done = subprocess.run(
            [program, "-i", str(inventory), str(directory / "postcopy.yml")],
            capture_output=True, text=True, timeout=300, check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(directory),
                 "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1",
                 "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets},
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    recap = re.search(r"^beta\s+: (.*)$", done.stdout, re.MULTILINE)
    assert recap is not None
    return {word: int(count) for word, count in re.findall(r"(\w+)=(\d+)", recap[1])}
