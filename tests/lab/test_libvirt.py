"""Real domains between two real libvirt hosts, through the command."""

import asyncio
import datetime
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from postcopy import pki
from postcopy.lab import credentials, libvirtd
from postcopy.lab.lab import Lab
from postcopy.migration import Journal, Phase

from .commands import data, postcopy, spawn
from .conftest import LAB, RATE, SLOW, held_back_nothing, soon

pytestmark = pytest.mark.lab

GUEST = "domain"
EXAMPLE = Path(__file__).parents[2] / "examples/move_a_guest.py"
PAGES = (64 + 64) * 256


class Pair:
    """Two libvirt hosts, and a busy domain that is on one of them."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        hosts = data("lab", "status", "--lab", LAB)["hosts"]
        self.uris: dict[str, dict[str, str]] = {host["name"]: host["uris"] for host in hosts}

    def link(self, rate: int) -> None:
        asyncio.run(self.lab.link().set_rate(rate))

    def boot(self, *more: str) -> None:
        sizes = ("--cold", "64", "--hot", "64")
        postcopy("lab", "guest", GUEST, "--lab", LAB, "--host", "alpha", *sizes, *more)

    def inside(self, host: str, *command: str) -> str:
        done = asyncio.run(self.lab.host(host).run(*command, check=False))
        return done.stdout.strip()

    def state(self, host: str) -> str:
        return self.inside(host, "virsh", "domstate", GUEST)

    def kill_libvirtd(self, host: str) -> None:
        self.inside(host, "sh", "-c", "kill -9 $(pidof libvirtd)")

    def start_libvirtd(self, host: str) -> None:
        asyncio.run(libvirtd.ensure(self.lab.host(host)))

    def migrate(self, *more: str, scheme: str = "tcp") -> tuple[str, ...]:
        source, destination = self.uris["alpha"]["unix"], self.uris["beta"][scheme]
        peers = {"tcp": "peer", "tls": "peer_tls", "ssh": "peer_ssh"}
        peer = ("--peer-uri", self.uris["beta"][peers[scheme]]) if scheme in peers else ()
        return ("migrate", GUEST, destination, "--from", source, *peer, *more)

    def assert_whole(self, host: str) -> None:
        """Check that the guest runs exactly once, there, with every page of its memory right."""
        other = "beta" if host == "alpha" else "alpha"
        soon(lambda: (self.state(host), self.state(other) in ("", "shut off")), ("running", True))
        verdict = data("lab", "guest", GUEST, "--lab", LAB, "--verify")
        assert verdict["pages_wrong"] == 0
        assert verdict["pages_checked"] == PAGES


@pytest.fixture
def pair(moves_lab: Lab) -> Iterator[Pair]:
    asyncio.run(moves_lab.up())
    made = Pair(moves_lab)
    made.link(RATE)
    yield made
    for host in ("alpha", "beta"):
        made.start_libvirtd(host)
    postcopy("lab", "guest", GUEST, "--lab", LAB, "--stop")


@pytest.fixture
def busy(pair: Pair) -> Pair:
    pair.boot()
    return pair


def wait_for(phase: Phase, process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.rstrip().endswith(f"-> {phase}"):
            return
    raise AssertionError(f"never seen in {phase}:\n{''.join(seen)}")


@pytest.mark.parametrize("policy", ["immediate", "after-first-pass", "adaptive"])
def test_a_busy_domain_moves_by_every_policy_that_may_switch(
    busy: Pair, policy: str, state_dir: Path
) -> None:
    into = ("--source-host", "alpha", "--dest-host", "beta", "--lab", LAB)
    outcome = data(*busy.migrate("--policy", policy, *into))
    assert outcome["fate"] == "completed"
    assert outcome["switched_at"] is not None
    assert outcome["figures"]["downtime_seconds"] is not None
    if policy == "adaptive":
        # It switches on the announcement of a pass's end alone.
        assert outcome["switch_latency_seconds"] is not None
        with Journal(state_dir / "journal.sqlite") as journal:
            samples = journal.samples(journal.runs(GUEST)[0].id)
        # Over its second monitor, the guest was seen to write while it was moved.
        looks = [look for sample in samples for look in sample.looks]
        assert max(look.dirtied_bytes for look in looks) > 10e6
    busy.assert_whole("beta")
    info = busy.inside("beta", "virsh", "dominfo", GUEST)
    assert "Persistent:     yes" in info
    assert busy.state("alpha") == ""


def test_a_domain_in_postcopy_asks_for_pages_at_once(busy: Pair) -> None:
    busy.link(SLOW)
    into = ("--source-host", "alpha", "--dest-host", "beta", "--lab", LAB)
    with spawn(*busy.migrate("--policy", "immediate", *into)) as process:
        wait_for(Phase.POSTCOPY, process)
        soon(lambda: any(held_back_nothing(busy.lab)), True)
        assert process.wait(60) == 0
    busy.assert_whole("beta")


def test_a_domain_that_is_paused_goes_on_where_it_arrives(busy: Pair) -> None:
    outcome = data(*busy.migrate("--policy", "virsh-timeout:timeout=1,action=suspend"))
    assert outcome["fate"] == "completed"
    assert outcome["switched_at"] is None
    busy.assert_whole("beta")


def test_a_plan_for_a_domain_moves_nothing(busy: Pair) -> None:
    source, destination = busy.uris["alpha"]["unix"], busy.uris["beta"]["tcp"]
    plan = data("plan", GUEST, destination, "--from", source, "--bandwidth", "1gbit")
    assert plan["inputs"]["dirtied_bytes"]["1"] > 30e6
    assert {"adaptive", "precopy"} <= {each["method"] for each in plan["methods"]}
    busy.assert_whole("alpha")


def test_the_library_s_example_moves_it_and_virsh_moves_it_back(busy: Pair) -> None:
    uris = busy.uris["alpha"]["unix"], busy.uris["beta"]["tcp"]
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), GUEST, *uris],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert f"{GUEST}: completed in" in done.stdout, done.stderr
    options = "--live --p2p --persistent --undefinesource --postcopy --postcopy-after-precopy"
    back = busy.uris["alpha"]["peer"]
    busy.inside("beta", "virsh", "migrate", *options.split(), GUEST, back)
    busy.assert_whole("alpha")


def test_hosts_are_reached_by_every_kind_of_uri(busy: Pair) -> None:
    for scheme in ("unix", "tcp", "tls", "ssh"):
        source, destination = busy.uris["alpha"][scheme], busy.uris["beta"][scheme]
        plan = data("migrate", GUEST, destination, "--from", source, "--dry-run")
        assert plan["source"] == source
        assert busy.state("alpha") == "running"


@pytest.mark.parametrize(("scheme", "more"), [("tls", ("--tls",)), ("ssh", ())])
def test_a_host_sends_a_guest_to_its_peer_by_tls_and_by_ssh(
    busy: Pair, scheme: str, more: tuple[str, ...]
) -> None:
    """Peer-to-peer: the connection between the daemons is the source's own."""
    migration = busy.migrate("--policy", "after-first-pass", *more, scheme=scheme)
    outcome = postcopy(*migration, "-f", "json")
    assert "direct, not peer-to-peer" not in outcome.stderr
    assert json.loads(outcome.stdout)["switched_at"] is not None
    busy.assert_whole("beta")


def test_strangers_are_not_let_in(busy: Pair, tmp_path: Path) -> None:
    address = busy.lab.host("alpha").control_address
    other = pki.Authority.create("another lab", datetime.datetime.now(datetime.UTC))
    issued = other.issue("somebody", datetime.datetime.now(datetime.UTC))
    pki.install(issued, tmp_path, pki.CLIENT_FILES)
    # The client believes both, so that it is the server that has to refuse.
    ours = credentials.keys_directory(busy.lab.host("alpha")) / "cacert.pem"
    (tmp_path / "cacert.pem").write_bytes(ours.read_bytes() + other.certificate)
    for uri in (
        f"qemu+tls://{address}/system?pkipath={tmp_path}",
        f"qemu+ssh://root@{address}/system?no_tty=1",
    ):
        said = postcopy("migrate", GUEST, busy.uris["beta"]["unix"], "--from", uri, code=69)
        assert "cannot connect" in said.stderr


def test_a_destination_that_the_source_cannot_reach_is_moved_to_directly(busy: Pair) -> None:
    """The URI of a socket on this machine means nothing to the source's host."""
    outcome = postcopy(*busy.migrate("--policy", "immediate", scheme="unix"))
    assert "direct, not peer-to-peer" in outcome.stderr
    busy.assert_whole("beta")


def test_cancel_in_precopy_and_refused_in_postcopy(busy: Pair) -> None:
    busy.link(SLOW)
    with spawn(*busy.migrate("--policy", "precopy")) as process:
        wait_for(Phase.PRECOPY, process)
        assert "goes on at" in postcopy("cancel", GUEST).stdout
        assert process.wait(30) == 1
    busy.assert_whole("alpha")
    with spawn(*busy.migrate("--policy", "after-first-pass")) as process:
        wait_for(Phase.PRECOPY, process)
        postcopy("switch", GUEST)
        assert "destroy" in postcopy("cancel", GUEST, code=65).stderr
        assert process.wait(60) == 0
    busy.assert_whole("beta")


def test_what_would_hurt_the_guest_is_refused(busy: Pair) -> None:
    harmful = {
        "--parallel": "exclude post-copy",
        "--tunnelled": "tunnelled",
        "--compressed": "xbzrle",
    }
    for option, said in harmful.items():
        assert said in postcopy(*busy.migrate(option), code=65).stderr
        assert busy.state("alpha") == "running"


def test_guards_about_the_hosts(busy: Pair) -> None:
    here = busy.uris["alpha"]
    same = postcopy("migrate", GUEST, here["tcp"], "--from", here["unix"], code=64)
    assert "are the same host" in same.stderr
    busy.inside("alpha", "virsh", "suspend", GUEST)
    assert "is paused" in postcopy(*busy.migrate(), code=65).stderr
    busy.inside("alpha", "virsh", "resume", GUEST)
    unknown = postcopy(
        "migrate", "ghost", busy.uris["beta"]["tcp"], "--from", here["unix"], code=66
    )
    assert "no domain 'ghost'" in unknown.stderr


@pytest.mark.parametrize("phase", [Phase.PRECOPY, Phase.POSTCOPY])
@pytest.mark.parametrize("victim", ["client", "alpha", "beta"])
@pytest.mark.parametrize("scheme", ["tcp", "unix"], ids=["peer-to-peer", "direct"])
def test_whoever_dies_the_guest_runs_exactly_once(
    busy: Pair, scheme: str, victim: str, phase: Phase
) -> None:
    busy.link(SLOW)
    policy = "precopy" if phase is Phase.PRECOPY else "immediate"
    with spawn(*busy.migrate("--policy", policy, scheme=scheme)) as process:
        wait_for(phase, process)
        time.sleep(1.0)
        if victim == "client":
            process.kill()
        else:
            busy.kill_libvirtd(victim)
            time.sleep(1.0)
            busy.start_libvirtd(victim)
        process.communicate(timeout=90)
    if phase is Phase.PRECOPY and victim == "client" and scheme == "tcp":
        # The source's daemon goes on with it: it is ours again, and can be called off.
        postcopy("cancel", GUEST)
    host = "alpha" if phase is Phase.PRECOPY else "beta"
    deadline = time.monotonic() + 60
    while busy.state(host) != "running" or busy.state(other(host)) not in ("", "shut off"):
        assert time.monotonic() < deadline, (busy.state("alpha"), busy.state("beta"))
        time.sleep(0.5)
    [run, *_] = data("history")
    if run["outcome"] is None or run["outcome"]["fate"] not in ("completed", "failed", "cancelled"):
        done = spawn("attach", GUEST, "-f", "json")
        done.communicate(timeout=60)
        [run, *_] = data("history")
    assert run["outcome"]["fate"] in (
        ("failed", "cancelled") if phase is Phase.PRECOPY else ("completed",)
    )
    busy.assert_whole(host)


def other(host: str) -> str:
    return "beta" if host == "alpha" else "alpha"
