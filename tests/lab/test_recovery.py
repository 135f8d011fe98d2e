"""Cut links between real hosts: no guest is lost, none doubled, no page wrong."""

import asyncio
import subprocess
import time
from collections.abc import Iterator

import pytest

from postcopy.lab.lab import Lab
from postcopy.lab.link import DataLink
from postcopy.migration import Phase

from .commands import data, finish, postcopy, read_until, spawn
from .conftest import GUEST, LAB, SLOW, Bench

pytestmark = pytest.mark.lab

DOMAIN = "domain"


class Cut:
    """A link that breaks when a migrating command says that it is in a certain phase."""

    def __init__(self, link: DataLink) -> None:
        self.link = link

    def break_(self, how: str) -> None:
        asyncio.run(getattr(self.link, how)())

    def mend(self) -> None:
        asyncio.run(self.link.up())


@pytest.fixture
def cut(busy: Bench) -> Iterator[Cut]:
    busy.link(SLOW)
    made = Cut(busy.lab.link())
    yield made
    made.mend()


def migrate(*more: str) -> tuple[str, ...]:
    return ("migrate", GUEST, "beta", "--lab", LAB, "--policy", "immediate", *more)


IN_POSTCOPY = f"-> {Phase.POSTCOPY}"


def test_a_link_that_is_down_for_five_seconds_is_ridden_out(busy: Bench, cut: Cut) -> None:
    with spawn(*migrate()) as process:
        read_until(IN_POSTCOPY, process)
        time.sleep(0.8)
        cut.break_("down")
        time.sleep(5.0)
        cut.mend()
        told = finish(process)
    assert "the link is dead, not slow" in told
    assert "recovered" in told
    busy.assert_whole("beta")
    [run] = data("history")
    assert run["outcome"]["recoveries"] == 1


@pytest.mark.parametrize("how", ["drop", "reset"])
def test_a_cut_right_after_the_switch(busy: Bench, cut: Cut, how: str) -> None:
    """The destination's monitor may hang then: it is recovered past it.

    Sooner still, a reset may meet a destination that has not taken the guest over yet. Its QEMU
    ends then, and before 10.2 nothing brings such a guest back.
    """
    with spawn(*migrate()) as process:
        read_until(IN_POSTCOPY, process)
        time.sleep(0.1)
        cut.break_(how)
        time.sleep(2.0)
        cut.mend()
        finish(process)
    busy.assert_whole("beta")


def test_two_cuts_and_one_more_during_recovery(busy: Bench, cut: Cut) -> None:
    with spawn(*migrate()) as process:
        read_until(IN_POSTCOPY, process)
        time.sleep(0.8)
        cut.break_("reset")
        read_until("recovery: connect", process)
        cut.break_("drop")
        time.sleep(2.0)
        cut.mend()
        read_until("recovery: recovered", process)
        time.sleep(0.5)
        cut.break_("down")
        time.sleep(2.0)
        cut.mend()
        finish(process)
    busy.assert_whole("beta")


def test_whoever_attaches_in_the_middle_of_a_recovery_finishes_it(busy: Bench, cut: Cut) -> None:
    with spawn(*migrate()) as process:
        read_until(IN_POSTCOPY, process)
        time.sleep(0.8)
        cut.break_("drop")
        read_until("carries nothing", process)
        process.kill()
    with spawn("attach", GUEST) as process:
        read_until("carries nothing", process)
        cut.mend()
        finish(process)
    busy.assert_whole("beta")


def test_one_that_is_not_to_be_recovered_is_left_alone_until_it_is(busy: Bench, cut: Cut) -> None:
    with spawn(*migrate("--no-recover")) as process:
        read_until(IN_POSTCOPY, process)
        time.sleep(0.8)
        cut.break_("reset")
        assert "postcopy attach" in finish(process, code=1)
    outcome = data("recover", GUEST, "--lab", LAB)
    assert outcome["fate"] == "completed"
    busy.assert_whole("beta")
    postcopy("recover", GUEST, "--lab", LAB, code=66)


class Domain:
    """A busy libvirt domain on alpha."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.cut = Cut(lab.link())
        hosts = data("lab", "status", "--lab", LAB)["hosts"]
        self.uris: dict[str, dict[str, str]] = {host["name"]: host["uris"] for host in hosts}

    def virsh(self, host: str, *arguments: str) -> str:
        done = asyncio.run(self.lab.host(host).run("virsh", *arguments, check=False, timeout=60))
        return (done.stdout + done.stderr).strip()

    def signal_qemu(self, host: str, signal: str) -> None:
        """Send a signal to its QEMU on a host."""
        kill = f"kill -{signal} $(cat /run/libvirt/qemu/{DOMAIN}.pid)"
        asyncio.run(self.lab.host(host).run("sh", "-c", kill))

    def assert_whole(self) -> None:
        """Check that it runs at beta alone, that libvirt knows, and that its memory is right."""
        assert self.virsh("beta", "domstate", DOMAIN) == "running"
        assert "Persistent:     yes" in self.virsh("beta", "dominfo", DOMAIN)
        assert "failed to get domain" in self.virsh("alpha", "domstate", DOMAIN)
        verdict = data("lab", "guest", DOMAIN, "--lab", LAB, "--verify")
        assert verdict["pages_wrong"] == 0
        assert verdict["pages_checked"] == (64 + 64) * 256


@pytest.fixture
def domain(request: pytest.FixtureRequest, bench: Bench) -> Iterator[Domain]:
    """A domain that has a second monitor only where a test wants one, as those of the world."""
    sizes = ("--cold", "64", "--hot", "64")
    monitor = "--second-monitor" if getattr(request, "param", False) else "--no-second-monitor"
    postcopy("lab", "guest", DOMAIN, "--lab", LAB, "--host", "alpha", *sizes, monitor)
    bench.link(SLOW)
    made = Domain(bench.lab)
    yield made
    made.cut.mend()
    postcopy("lab", "guest", DOMAIN, "--lab", LAB, "--stop")


@pytest.mark.parametrize(("domain", "how"), [(True, "down"), (False, "drop")], indirect=["domain"])
def test_a_domain_is_recovered_past_a_libvirt_that_cannot(domain: Domain, how: str) -> None:
    """The hosts' libvirt 11.3 crashes when it resumes: its QEMUs are connected past it.

    A domain without a second monitor is given one on its way.
    """
    daemons = [domain.virsh(host, "version", "--daemon") for host in ("alpha", "beta")]
    assert all("11.3" in told for told in daemons)
    with spawn("migrate", DOMAIN, "beta", "--lab", LAB, "--policy", "immediate") as process:
        read_until(IN_POSTCOPY, process)
        time.sleep(0.8)
        domain.cut.break_(how)
        read_until("carries nothing", process)
        domain.cut.mend()
        told = finish(process)
    assert "its second monitor at the other end" in told
    assert "recovered" in told
    domain.assert_whole()


def test_what_virsh_left_paused_is_recovered(domain: Domain) -> None:
    alpha, beta = domain.uris["alpha"]["unix"], domain.uris["beta"]
    options = ("--live", "--p2p", "--persistent", "--undefinesource", "--postcopy")
    soon = ("--timeout", "1", "--timeout-postcopy")
    command = ("virsh", "migrate", *options, *soon, DOMAIN, beta["peer"])
    host = domain.lab.host("alpha")
    with subprocess.Popen(
        host.command(*command), env=dict(host.environment()), stderr=subprocess.PIPE, text=True
    ) as virsh:
        deadline = time.monotonic() + 30
        while "post-copy" not in domain.virsh("alpha", "domstate", "--reason", DOMAIN):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(0.8)  # until the destination has taken the guest over
        domain.cut.break_("drop")
        # These URIs say nothing of a way into their hosts.
        ways = ("--source-host", "alpha", "--dest-host", "beta", "--lab", LAB)
        recover = ("recover", DOMAIN, beta["tcp"], "--from", alpha, "--peer-uri", beta["peer"])
        domain.signal_qemu("beta", "STOP")
        with spawn(*recover, *ways) as process:
            # A daemon that was started again now would give up the guest whose QEMU is silent.
            read_until("the destination's QEMU hangs", process)
            domain.signal_qemu("beta", "CONT")
            read_until("carries nothing", process)
            domain.cut.mend()
            told = finish(process)
        assert "post-copy" in virsh.communicate(timeout=60)[1]
    assert "libvirt's own monitor while its daemon restarts" in told
    domain.assert_whole()


@pytest.mark.parametrize("domain", [True], indirect=True)
def test_a_call_that_outlives_the_cut_does_not_run_the_guest_twice(domain: Domain) -> None:
    """Both daemons speak over the link that breaks, one way only: the call cannot take its leave.

    Connected while it still tries to, the source's copy went on, too (libvirt 11.3).
    """
    alpha, beta = domain.uris["alpha"]["unix"], domain.lab.host("beta")
    there = f"qemu+tcp://{beta.data_address}/system"
    soon = ("--postcopy", "--timeout", "1", "--timeout-postcopy")
    options = ("--live", "--p2p", "--persistent", "--undefinesource", *soon)
    host = domain.lab.host("alpha")
    with subprocess.Popen(
        host.command("virsh", "migrate", *options, DOMAIN, there),
        env=dict(host.environment()), stderr=subprocess.PIPE, text=True,
    ) as virsh:  # fmt: skip
        deadline = time.monotonic() + 30
        while "post-copy" not in domain.virsh("alpha", "domstate", "--reason", DOMAIN):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(0.8)  # until the destination has taken the guest over
        asyncio.run(domain.cut.link.drop(("beta",)))
        ways = ("--source-host", "alpha", "--dest-host", "beta", "--lab", LAB)
        known = ("--from", alpha, "--peer-uri", there)
        with spawn("recover", DOMAIN, domain.uris["beta"]["tcp"], *known, *ways) as process:
            read_until("carries nothing", process)
            time.sleep(3.0)  # the longer, the later TCP tries again what the daemons want to say
            asyncio.run(domain.cut.link.unlimit())  # all memory is sent before that
            domain.cut.mend()
            finish(process)
        virsh.communicate(timeout=60)
    domain.assert_whole()


def test_without_a_way_to_recover_it_says_so_beforehand(domain: Domain) -> None:
    alpha, beta = domain.uris["alpha"]["unix"], domain.uris["beta"]
    migrate = ("migrate", DOMAIN, beta["tcp"], "--from", alpha, "--peer-uri", beta["peer"])
    assert "would need a hand" in data(*migrate, "--dry-run")["recovery"]
    into = ("--dest-host", "beta", "--lab", LAB)
    assert data(*migrate, *into, "--dry-run")["recovery"].startswith("past libvirt: by libvirt's")
    done = postcopy(*migrate, "--policy", "immediate")
    assert "recovery would need a hand" in done.stderr
    assert "postcopy guest prepare" in done.stderr


def test_a_path_that_stays_dead_is_gone_around(domain: Domain) -> None:
    """The control link is a second network between the hosts; the data link never comes back."""
    around = f"tcp://{domain.lab.host('beta').control_address}"
    with spawn(
        "migrate", DOMAIN, "beta", "--lab", LAB, "--policy", "immediate", "--recover-uri", around
    ) as process:
        read_until(IN_POSTCOPY, process)
        time.sleep(0.8)
        domain.cut.break_("drop")
        finish(process)
    # That network is so fast that the rest may be over before anybody has looked.
    [run] = data("history", DOMAIN)
    assert (run["outcome"]["fate"], run["outcome"]["recoveries"]) == ("completed", 1)
    domain.assert_whole()
