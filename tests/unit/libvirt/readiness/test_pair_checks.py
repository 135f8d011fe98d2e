"""The way between two hosts: what came of going it, and going it here."""

import asyncio
import datetime
import secrets
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.doctor.libvirt import measure
from postcopy.hosts import LocalHost, probe
from postcopy.libvirt.readiness import CHECKS, LibvirtFacts, PathFacts
from postcopy.libvirt.readiness.path import CpuVerdict
from postcopy.readiness import Evidence, Facts, PairSubject, Scope, Verdict
from postcopy.testing import FakeHost

from .hosts import answer, host, judge, recorded
from .pki import Authority

Section = dict[str, Any]

DROP = '{"nftables": [{"chain": {"family": "inet", "table": "f", "name": "input", "type":'
DROP += ' "filter", "hook": "input", "policy": "drop"}}]}'
SAME = "CPU described in /dev/stdin is identical to the CPU provided by hypervisor on the host\n"
LESS = "The CPU provided by hypervisor on the host is a superset of CPU described in /dev/stdin\n"
MORE = "CPU described in /dev/stdin is incompatible with the CPU provided by hypervisor\n"
OK = {"ok": True, "mtu": 1500, "mtu_there": 1500}
TIMED_OUT = {"error": "timed out"}


def beta(**changes: Any) -> Section:
    told = {"capabilities": "<capabilities><host><uuid>b4f907ef</uuid></host></capabilities>"}
    told |= changes.pop("commands", {})
    return recorded("trixie", commands=told, **{"hostname": "beta", **changes})


def path(cpu: str = SAME, listening: object = None, **changes: Any) -> PathFacts:
    dialled = {
        "resolved": {"beta": {"addresses": ["198.18.0.2"]}},
        "ports": {"49152": OK, "49215": OK},
        "daemon": {"tcp": {"ok": True}},
        "tls": {},
        "round_trip_seconds": 0.0002,
        "throughput": {"bytes": 118_000_000, "seconds": 1.0},
        **changes,
    }
    listened = {
        "proofs": {"listening": listening or {"ports": [49152, 49215], "error": ""}},
        "commands": {"cpu-compare": answer(cpu)},
    }
    return PathFacts.of("beta", Evidence(listened), Evidence({"proofs": {"dialled": dialled}}))


def pair(
    there: Section | None = None, here: Section | None = None, way: PathFacts | None = None
) -> PairSubject:
    source = host(here or recorded(), "alpha")
    return PairSubject(source, host(there or beta(), "beta"), Facts([way or path()]))


def balloon(*kib: int) -> Section:
    told = "".join(f"Domain: 'g{n}'\n  balloon.maximum={size}\n\n" for n, size in enumerate(kib))
    return recorded(commands={"running": told})


ROOM = {"files": {"/proc/meminfo": {"mode": 0o444, "text": "MemAvailable:    4000000 kB\n"}}}

CASES: list[tuple[str, PairSubject, str, str]] = [
    ("uuid", pair(), "pass", "b4f907ef"),
    ("uuid", pair(recorded()), "fail", "both are a5638529"),
    ("hostname", pair(), "pass", "alpha, beta"),
    ("hostname", pair(beta(hostname="alpha")), "fail", "both call themselves alpha"),
    ("version", pair(), "pass", "11.3.0 to 11.3.0"),
    ("version", pair(recorded("bookworm")), "warn", "11.3.0 to 9.0.0"),
    ("virttype", pair(), "pass", "qemu"),
    ("virttype", pair(recorded("trixie"), recorded("bookworm")), "fail", "has KVM"),
    ("cpu", pair(), "pass", "identical"),
    ("cpu", pair(way=path(LESS)), "pass", "covered"),
    ("cpu", pair(way=path(MORE)), "warn", "do not fit"),
    ("cpu", pair(way=path("")), "skip", "could not be compared"),
    ("resolution", pair(), "pass", "beta is 198.18.0.2"),
    ("resolution",
     pair(way=path(resolved={"beta": {"error": "Name or service not known"}})), "fail",
     "not known"),
    ("resolution",
     pair(way=path(resolved={"beta": {"addresses": ["127.0.1.1"]}})), "fail", "source itself"),
    ("resolution",
     pair(way=path(resolved={"beta": {"addresses": ["198.18.0.1"]}})), "fail", "source itself"),
    ("migration-ports", pair(), "pass", "49152 and 49215 came through"),
    ("migration-ports",
     pair(way=path(ports={"49152": OK, "49215": TIMED_OUT})), "fail", "beta:49215: timed out"),
    ("migration-ports", pair(beta(commands={"nft": DROP}),
     way=path(ports={"49152": TIMED_OUT})), "skip", "libvirt.firewall.migration"),
    ("migration-ports", pair(way=path(ports={}, listening={"ports": [], "error": "in use"})),
     "skip", "in use"),
    ("migration-ports", pair(way=path(resolved={"beta": {"error": "no"}})), "skip", "resolution"),
    ("daemon-ports", pair(), "pass", "by tcp"),
    ("daemon-ports", pair(way=path(daemon={"tcp": TIMED_OUT})), "fail", "by tcp: timed out"),
    ("daemon-ports", pair(beta(commands={"nft": DROP}), way=path(daemon={"tcp": TIMED_OUT})),
     "skip", "libvirt.firewall.daemon"),
    ("daemon-ports", pair(way=path(daemon={})), "skip", "no connections"),
    ("tls", pair(), "skip", "no certificates"),
    ("tls", pair(way=path(tls={"daemon": {"ok": True}})), "pass", "accepted"),
    ("tls", pair(way=path(tls={"daemon": {"error": "self-signed"}})), "fail", "self-signed"),
    ("tls", pair(beta(listening=[["00000000", 16514]]), way=path(tls={"daemon": TIMED_OUT})),
     "skip", "certificates of beta are at fault: libvirt.tls.complete"),
    ("migration-tls", pair(), "skip", "no certificates"),
    ("migration-tls", pair(way=path(tls={"migration": {"ok": True}})), "pass", "accepted"),
    ("migration-tls", pair(way=path(tls={"migration": {"error": "bad"}})), "fail", "bad"),
    ("bandwidth", pair(), "pass", "118 MB/s"),
    ("bandwidth",
     pair(way=path(throughput={"bytes": 12_000_000, "seconds": 1.0})), "warn", "12.0 MB/s"),
    ("bandwidth", pair(way=path(throughput={"bytes": 1000, "seconds": 1.0})), "fail", "1.00 kB/s"),
    ("bandwidth", pair(way=path(throughput={})), "skip", "not measured"),
    ("round-trip", pair(), "pass", "200 µs"),
    ("round-trip", pair(way=path(round_trip_seconds=0.05)), "warn", "50 ms"),
    ("round-trip", pair(way=path(round_trip_seconds=None)), "skip", "not measured"),
    ("mtu", pair(), "pass", "1500 at both"),
    ("mtu", pair(way=path(ports={"49152": {**OK, "mtu_there": 9000}})), "warn", "9000"),
    ("mtu", pair(way=path(throughput={"error": "stalled", "sent": 9})), "fail", "large ones"),
    ("mtu", pair(way=path(ports={"49152": {"ok": True}})), "skip", "not known"),
    ("memory", pair(beta(**ROOM), balloon(1_000_000, 2_000_000)), "pass", "3.07 GB"),
    ("memory", pair(beta(**ROOM), balloon(3_000_000, 2_000_000)), "warn", "all 2 guests"),
    ("memory", pair(beta(**ROOM), balloon(5_000_000)), "warn", "g0 alone"),
    ("memory", pair(beta(**ROOM)), "skip", "no guest runs"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "subject", "verdict", "said"), CASES)
def test_a_check(name: str, subject: PairSubject, verdict: str, said: str) -> None:
    found = judge(f"libvirt.pair.{name}", subject)
    assert found.verdict == verdict, found.saw
    assert said in found.saw


def test_every_check_is_tried() -> None:
    ids = {check.id for check in CHECKS if check.scope is Scope.PAIR}
    assert ids == {f"libvirt.pair.{case[0]}" for case in CASES}


def test_a_pair_that_was_not_measured_is_not_blamed() -> None:
    subject = PairSubject(host(recorded(), "alpha"), host(beta(), "beta"))
    found = [check.apply(subject) for check in CHECKS if check.scope is Scope.PAIR]
    assert not [one.id for one in found if one.verdict in (Verdict.FAIL, Verdict.WARN)]


@pytest.mark.parametrize(
    ("said", "verdict"), [(SAME, "SAME"), (LESS, "LESS"), (MORE, "MORE"), ("error: x", "UNKNOWN")]
)
def test_what_virsh_says_of_cpus(said: str, verdict: str) -> None:
    assert path(said).cpu is CpuVerdict[verdict]


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.dictionaries(
        st.sampled_from(["resolved", "ports", "daemon", "tls", "throughput", "round_trip_seconds"]),
        json_values | st.dictionaries(st.sampled_from(["1", "beta", "x"]), json_values),
    )
)
def test_no_answer_is_too_strange(changes: dict[str, Any]) -> None:
    way = path(**changes)
    subject = pair(way=way)
    for check in CHECKS:
        if check.scope is Scope.PAIR:
            assert check.apply(subject).verdict in Verdict


async def test_what_cannot_be_known_of_both_is_not_measured() -> None:
    bare = PairSubject(host(recorded(hostname="", conf={"qemu": ""})), host(beta(hostname="",
                       conf={"qemu": ""})))  # fmt: skip
    assert await measure(FakeHost("alpha"), FakeHost("beta"), bare) == ()


# --- by doing: this machine's Python calls itself ----------------------------------------------


def tls_paths(directory: Path) -> dict[str, Any]:
    return {
        "authority": str(directory / "ca-cert.pem"),
        "server_authority": str(directory / "ca-cert.pem"),
        "server": str(directory / "server-cert.pem"),
        "server_key": str(directory / "server-key.pem"),
        "client": str(directory / "client-cert.pem"),
        "client_key": str(directory / "client-key.pem"),
        "verify": True,
    }


async def go(low: int, high: int, tls: dict[str, Any] | None = None, **dial: Any) -> PathFacts:
    """Listen here, and call from here."""
    token, here = secrets.token_hex(8), LocalHost()
    listen = {"low": low, "high": high, "seconds": 20, "token": token, "tls": tls}
    listened = (await probe(here, {"libvirt-listen": listen}))["sections"]["libvirt-listen"]
    request = {
        "host": "127.0.0.1",
        "names": ["localhost", "nobody.invalid"],
        "ports": listened["proofs"]["listening"]["ports"],
        "token": token,
        "daemon": {},
        "seconds": 0.05,
        "tls": tls,
        **dial,
    }
    dialled = (await probe(here, {"libvirt-dial": request}))["sections"]["libvirt-dial"]
    return PathFacts.of("127.0.0.1", Evidence(listened), Evidence(dialled))


async def test_a_listener_is_called_and_measured() -> None:
    found = await go(42100, 42199, daemon={"tcp": 1})
    assert len(found.reachable_ports) == 2
    assert found.bytes_per_second is not None
    assert found.bytes_per_second > 1e6
    assert found.round_trip_seconds is not None
    assert not found.stalled
    assert found.mtu[0] == found.mtu[1] > 0
    assert "127.0.0.1" in found.resolved["localhost"]
    assert "nobody.invalid" in found.unresolved
    assert "refused" in found.daemon["tcp"].error


async def test_who_does_not_know_the_token_is_a_stranger() -> None:
    found = await go(42200, 42299, token="somebody else's")
    assert found.reachable_ports == ()
    assert {reach.error for reach in found.ports.values()} == {"something else answers there"}


async def test_a_listener_that_nobody_reached_gives_its_ports_back() -> None:
    """A guest that arrives just after a check needs them."""
    token, here = secrets.token_hex(8), LocalHost()
    listen = {"low": 42600, "high": 42699, "seconds": 20, "token": token, "address": "127.0.0.1"}
    listened = (await probe(here, {"libvirt-listen": listen}))["sections"]["libvirt-listen"]
    port = listened["proofs"]["listening"]["ports"][0]
    end = {"end": port, "address": "127.0.0.1", "token": token}
    await probe(here, {"libvirt-listen": end})
    async with asyncio.timeout(5):
        while True:
            try:
                socket.create_server(("127.0.0.1", port)).close()
                break
            except OSError:
                await asyncio.sleep(0.02)


async def test_a_range_without_a_free_port_is_said_to_have_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen = {"low": port, "high": port, "seconds": 5, "token": "x", "address": "127.0.0.1"}
        told = await probe(LocalHost(), {"libvirt-listen": listen})
    proof = told["sections"]["libvirt-listen"]["proofs"]["listening"]
    assert proof["ports"] == []
    assert "in use" in proof["error"]


async def test_hosts_of_one_authority_shake_hands_and_others_do_not(tmp_path: Path) -> None:
    ours = Authority(now=datetime.datetime.now(datetime.UTC))
    theirs = Authority("another", now=datetime.datetime.now(datetime.UTC))
    (tmp_path / "ca-cert.pem").write_text(ours.certificate)
    ours.issue("beta").write(tmp_path, "server")
    ours.issue("alpha").write(tmp_path, "client")
    found = await go(42300, 42399, tls_paths(tmp_path))
    assert found.tls["migration"].ok, found.tls
    theirs.issue("alpha").write(tmp_path, "client")
    found = await go(42400, 42499, tls_paths(tmp_path))
    assert not found.tls["migration"].ok
    theirs.issue("beta").write(tmp_path, "server")
    found = await go(42500, 42599, tls_paths(tmp_path))
    assert "issuer" in found.tls["migration"].error


async def test_this_machine_answers_about_libvirt() -> None:
    told = await probe(LocalHost(), {"libvirt": {}})
    found = LibvirtFacts.of(Evidence(told["sections"]["libvirt"]))
    assert found.hostname
    assert found.memory_available_bytes
