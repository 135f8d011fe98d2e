"""The guard over two real hosts: what virsh began, and a link broke, is recovered by itself."""

import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from .commands import data, postcopy, read_until, spawn
from .conftest import LAB, SLOW, Bench
from .test_recovery import DOMAIN, Domain

pytestmark = pytest.mark.lab


@pytest.fixture
def guest(bench: Bench) -> Iterator[Domain]:
    sizes = ("--cold", "64", "--hot", "64")
    postcopy("lab", "guest", DOMAIN, "--lab", LAB, "--host", "alpha", *sizes)
    bench.link(SLOW)
    made = Domain(bench.lab)
    yield made
    made.cut.mend()
    postcopy("lab", "guest", DOMAIN, "--lab", LAB, "--stop")


def test_what_virsh_began_is_recovered_when_the_link_is_back(guest: Domain) -> None:
    uris = [guest.uris[host]["tcp"] for host in ("alpha", "beta")]
    ways = [f"--host={uri}={host}" for uri, host in zip(uris, ("alpha", "beta"), strict=True)]
    options = ("--live", "--p2p", "--persistent", "--undefinesource", "--postcopy")
    soon = ("--timeout", "1", "--timeout-postcopy")
    command = ("virsh", "migrate", *options, *soon, DOMAIN, guest.uris["beta"]["peer"])
    host = guest.lab.host("alpha")
    with spawn("watch", *uris, *ways, "--lab", LAB) as guard:
        read_until("2 of 2 hosts answer", guard)
        with subprocess.Popen(
            host.command(*command), env=dict(host.environment()), stderr=subprocess.PIPE, text=True
        ) as virsh:
            read_until("looked after until it has arrived", guard)
            time.sleep(0.8)  # until the destination has taken the guest over
            guest.cut.break_("drop")
            read_until("the link is dead, not slow", guard)
            # A second guard, as from cron, leaves the guest to the first one.
            assert "left to another one" in postcopy("watch", "--once", *uris).stderr
            guest.cut.mend()
            read_until(f"{DOMAIN}: it runs at {uris[1]}; connected again once", guard)
            assert "post-copy" in virsh.communicate(timeout=60)[1]
        guard.send_signal(signal.SIGTERM)
        assert "guests are left as they are" in guard.communicate(timeout=60)[1]
        assert guard.returncode == 0
    guest.assert_whole()
    [run] = data("history", DOMAIN)[:1]
    assert (run["outcome"]["fate"], run["outcome"]["recoveries"]) == ("completed", 1)
