"""Hosts that are well but for one thing: exactly that check must say so."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from postcopy.doctor import select
from postcopy.doctor.access import AccessFacts
from postcopy.kernel.facts import KernelFacts, Link, Qemu
from postcopy.qemu.facts import KvmProof, Moved, QemuFacts
from postcopy.readiness import Facts, File, HostSubject, PairSubject, Scope, Verdict

from .recorded import subject

GIB = 1 << 30
OURS = select(only=["host.*", "kernel.*", "qemu.*"])
NETWORK = frozenset({ip_network("10.0.0.0/24")})


def link(**change: Any) -> Link:
    about: dict[str, Any] = {
        "name": "eth0", "mtu": 9000, "bits_per_second": 25 * 10**9, "networks": NETWORK,
    }  # fmt: skip
    return Link(**{**about, **change})


def well(name: str = "alpha", identity: str = "1") -> HostSubject:
    """Return the lab's Debian 13 as a host without a single fault."""
    facts = subject("debian13-lab", name).facts
    return HostSubject(
        name,
        Facts(
            [
                replace(facts.of(AccessFacts), asked=name, told=name, identity=identity),
                replace(
                    facts.of(KernelFacts),
                    kvm=File(path="/dev/kvm", mode=0o660, uid=0, gid=0),
                    tcp_retries2=5,
                    links=(link(),),
                ),
                replace(
                    facts.of(QemuFacts),
                    version=(11, 1, 0),
                    kvm=KvmProof(error="", hung=False, seconds=0.2),
                    moved=Moved(error="", status="completed", postcopy=True, requests=200,
                                rounds=20, wrong=0, downtime_seconds=0.02, seconds=0.5),
                ),
            ]
        ),
    )  # fmt: skip


def changed(host: HostSubject, kind: type, **change: Any) -> HostSubject:
    facts: Any = replace(host.facts.of(kind), **change)
    return HostSubject(host.name, host.facts.with_(facts))


def kernel(**change: Any) -> Callable[[HostSubject], HostSubject]:
    return lambda host: changed(host, KernelFacts, **change)


def qemu(**change: Any) -> Callable[[HostSubject], HostSubject]:
    return lambda host: changed(host, QemuFacts, **change)


def access(**change: Any) -> Callable[[HostSubject], HostSubject]:
    return lambda host: changed(host, AccessFacts, **change)


def proof(**change: Any) -> Callable[[HostSubject], HostSubject]:
    """Change what trying userfaultfd told, of root and of QEMU's user alike."""

    def change_it(host: HostSubject) -> HostSubject:
        facts = host.facts.of(KernelFacts)
        assert facts.proof is not None
        assert facts.proof_as_qemu is not None
        return changed(
            host,
            KernelFacts,
            proof=replace(facts.proof, **change),
            proof_as_qemu=replace(facts.proof_as_qemu, **change),
        )

    return change_it


def refused(host: HostSubject) -> HostSubject:
    host = proof(device="EACCES", syscall="EPERM")(host)
    no = "Postcopy is not supported"
    return qemu(accepts={**host.facts.of(QemuFacts).accepts, "postcopy-ram": no})(host)


def says(name: str, error: str) -> Callable[[HostSubject], HostSubject]:
    def change_it(host: HostSubject) -> HostSubject:
        return qemu(accepts={**host.facts.of(QemuFacts).accepts, name: error})(host)

    return change_it


def lacks(name: str) -> Callable[[HostSubject], HostSubject]:
    def change_it(host: HostSubject) -> HostSubject:
        return qemu(capabilities=host.facts.of(QemuFacts).capabilities - {name})(host)

    return change_it


def moved(**change: Any) -> Callable[[HostSubject], HostSubject]:
    def change_it(host: HostSubject) -> HostSubject:
        now = host.facts.of(QemuFacts).moved
        assert now is not None
        return qemu(moved=replace(now, **change))(host)

    return change_it


def memory(**change: int) -> Callable[[HostSubject], HostSubject]:
    def change_it(host: HostSubject) -> HostSubject:
        return kernel(memory={**host.facts.of(KernelFacts).memory, **change})(host)

    return change_it


BOTH_MODES = {"missing": "", "minor": "", "write-protect": ""}
BIG = Qemu(uid=64055, resident_bytes=GIB, locked_bytes=0, sys_ptrace=False)

OF_A_HOST: list[tuple[str, Callable[[HostSubject], HostSubject]]] = [
    ("host.privileged", access(uid=1000)),
    ("host.complete", access(broken=(("kernel", "timed out"),))),
    ("host.name", access(told="gamma")),
    ("kernel.userfaultfd.permitted", refused),
    ("kernel.userfaultfd.built", kernel(proof=None, config={"USERFAULTFD": "n"})),
    ("kernel.userfaultfd.missing", proof(modes={**BOTH_MODES, "missing": "EINVAL"})),
    ("kernel.userfaultfd.minor", proof(modes={**BOTH_MODES, "minor": "EINVAL"})),
    ("kernel.userfaultfd.write-protect", proof(modes={**BOTH_MODES, "write-protect": "EINVAL"})),
    ("kernel.userfaultfd.latency", proof(p50_seconds=0.05)),
    ("kernel.userfaultfd.shared", proof(features=0x1FFFF & ~(1 << 5))),
    ("kernel.userfaultfd.huge", proof(features=0x1FFFF & ~(1 << 4))),
    ("kernel.userfaultfd.thread", proof(features=0x1FFFF & ~(1 << 8))),
    ("kernel.memory.available", memory(MemAvailable=1 << 20)),
    ("kernel.memory.swap", memory(SwapTotal=8 * GIB, SwapFree=GIB)),
    ("kernel.memory.overcommit", kernel(overcommit=2)),
    ("kernel.memory.pressure", kernel(memory_pressure_percent=40.0)),
    ("kernel.memory.gigantic", kernel(hugepages={GIB: (16, 4)})),
    ("kernel.memory.transparent", kernel(transparent="never")),
    ("kernel.memory.locked", kernel(qemus=(replace(BIG, locked_bytes=GIB),))),
    ("kernel.network.retries", kernel(tcp_retries2=15)),
    ("kernel.network.buffers", kernel(tcp_buffer_bytes=200_000)),
    ("kernel.kvm.present", kernel(kvm=File(path="/dev/kvm", error="ENOENT"))),
    ("qemu.installed", qemu(binary=None)),
    ("qemu.answers", qemu(error="error while loading shared libraries")),
    ("qemu.sandbox", qemu(sandbox_error="sandbox support is not enabled")),
    ("qemu.version.postcopy", qemu(commands=frozenset({"migrate-start-postcopy"}))),
    ("qemu.postcopy.accepted", says("postcopy-ram", "Postcopy is not supported")),
    ("qemu.postcopy.preempt", lacks("postcopy-preempt")),
    ("qemu.postcopy.blocktime", says("postcopy-blocktime", "not on this host")),
    ("qemu.monitor.oob", qemu(oob=False)),
    ("qemu.capability.events", lacks("events")),
    ("qemu.capability.return-path", lacks("return-path")),
    ("qemu.postcopy.works", moved(status="failed")),
    ("qemu.postcopy.works", moved(wrong=3)),
    ("qemu.postcopy.works", moved(postcopy=False)),
    ("qemu.issue.device-state-loss", qemu(version=(10, 1, 0))),
]


@pytest.mark.parametrize(("id_", "breakage"), OF_A_HOST, ids=[id_ for id_, _ in OF_A_HOST])
def test_one_fault_of_a_host_is_one_finding(
    id_: str, breakage: Callable[[HostSubject], HostSubject]
) -> None:
    assert wrong(well()) == []
    assert wrong(breakage(well())) == [id_]


def test_where_kvm_does_not_work_guests_are_emulated_and_that_has_faults_of_its_own() -> None:
    host = qemu(kvm=KvmProof(error="it hung", hung=True, seconds=1.5))(well())
    assert wrong(host) == ["qemu.kvm.boots", "qemu.issue.tcg-dirty-bitmap"]


def test_a_host_that_is_down_has_one_fault() -> None:
    assert wrong(HostSubject("alpha", Facts([AccessFacts(asked="alpha", error="no route")]))) == [
        "host.reachable"
    ]


OF_A_PAIR: list[tuple[str, Callable[[HostSubject], HostSubject]]] = [
    ("host.distinct", access(identity="1")),
    ("host.clocks", access(clock_seconds=90.0, clock_error_seconds=0.1)),
    ("kernel.cpu.machine", kernel(machine="aarch64")),
    ("kernel.cpu.vendor", kernel(cpu_vendor="GenuineIntel")),
    ("kernel.cpu.features", kernel(cpu_flags=frozenset({"sse"}))),
    ("kernel.memory.page", kernel(page_bytes=65536)),
    ("kernel.network.mtu", kernel(links=(link(mtu=1500),))),
    ("kernel.network.speed", kernel(links=(link(bits_per_second=10**8),))),
    ("qemu.pair.version", qemu(version=(10, 2, 0))),
    ("qemu.pair.preempt", qemu(version=(7, 1, 0))),
    ("qemu.pair.capabilities", lacks("postcopy-preempt")),
    ("qemu.pair.machines", qemu(machines=frozenset({"pc-i440fx-7.2"}))),
    ("qemu.pair.kvm", qemu(kvm=KvmProof(error="it hung", hung=True, seconds=1.5))),
]


@pytest.mark.parametrize(("id_", "breakage"), OF_A_PAIR, ids=[id_ for id_, _ in OF_A_PAIR])
def test_one_difference_of_the_destination_is_one_finding_of_the_pair(
    id_: str, breakage: Callable[[HostSubject], HostSubject]
) -> None:
    source, destination = well(), well("beta", "2")
    assert wrong(PairSubject(source, destination)) == []
    found = wrong(PairSubject(source, breakage(destination)))
    expected = {id_, "qemu.pair.version"} if id_ == "qemu.pair.preempt" else {id_}
    assert set(found) == expected


def test_what_the_source_has_and_the_destination_lacks() -> None:
    beta = well("beta", "2")
    source = kernel(qemus=(BIG,), nodes=2, hugepages={2 << 20: (512, 0)})(well())
    source = qemu(firmware=frozenset({"60-edk2-x86_64.json"}))(source)
    small = memory(MemAvailable=GIB // 2)(beta)
    assert wrong(PairSubject(source, small)) == [
        "kernel.memory.room",
        "kernel.memory.huge",
        "kernel.memory.nodes",
        "qemu.pair.firmware",
    ]
    assert wrong(PairSubject(beta, source)) == []


def test_the_stall_of_a_gibibyte_is_told_in_seconds_at_the_links_rate() -> None:
    [check] = select(only=["kernel.memory.gigantic"])
    host = kernel(hugepages={GIB: (16, 4)}, links=(link(bits_per_second=10**10),))(well())
    found = check.apply(host)
    assert "16 are reserved, 12 in use" in found.saw
    assert "a stall of 859 ms at 1.25 GB/s of eth0" in found.saw


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"unprivileged": 1, "sysctl_lines": {}}, Verdict.WARN),
        (
            {"unprivileged": 1, "sysctl_lines": {"/a": ("vm.unprivileged_userfaultfd = 1",)}},
            Verdict.PASS,
        ),
        (
            {"unprivileged": 1, "sysctl_lines": {"/a": ("vm.unprivileged_userfaultfd = 0",)}},
            Verdict.WARN,
        ),
        ({"device": File(path="/dev/userfaultfd", mode=0o660, uid=0, gid=0)}, Verdict.WARN),
        (
            {
                "device": File(path="/dev/userfaultfd", mode=0o660, uid=0, gid=0),
                "udev_lines": {"/b": ('KERNEL=="userfaultfd", GROUP="kvm"',)},
            },
            Verdict.PASS,
        ),
        ({}, Verdict.SKIP),
    ],
)
def test_a_permission_must_outlive_a_boot(change: dict[str, Any], verdict: Verdict) -> None:
    [check] = select(only=["kernel.userfaultfd.persistent"])
    facts = well().facts.of(KernelFacts)
    assert facts.account is not None
    account = replace(facts.account, uid=64055, name="libvirt-qemu")
    host = kernel(account=account, **{"unprivileged": 0, **change})(well())
    assert check.apply(host).verdict is verdict


def test_an_old_qemu_is_not_helped_by_the_device() -> None:
    [check] = select(only=["qemu.version.device"])
    host = qemu(version=(7, 2, 0))(proof(device="", syscall="EPERM")(well()))
    assert check.apply(host).verdict is Verdict.FAIL
    newer = qemu(version=(8, 0, 0))(host)
    assert check.apply(newer).verdict is Verdict.PASS


def test_emulated_guests_alone_are_concerned_by_what_emulation_gets_wrong() -> None:
    [check] = select(only=["qemu.issue.tcg-memory-corruption"])
    old = qemu(version=(7, 2, 0))(well())
    assert check.apply(old).verdict is Verdict.PASS
    broken = qemu(kvm=KvmProof(error="it hung", hung=True, seconds=1.5))(old)
    assert check.apply(broken).verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("version", "error", "verdict"),
    [
        ((7, 2, 0), "", Verdict.WARN),
        ((10, 0, 0), "not yet compatible", Verdict.PASS),
        ((10, 1, 0), "", Verdict.PASS),
    ],
)
def test_several_connections_are_dangerous_only_where_they_are_accepted_and_broken(
    version: tuple[int, int, int], error: str, verdict: Verdict
) -> None:
    [check] = select(only=["qemu.postcopy.multifd"])
    assert check.apply(qemu(version=version)(says("multifd", error)(well()))).verdict is verdict


def wrong(subject: HostSubject | PairSubject) -> list[str]:
    scope = Scope.HOST if isinstance(subject, HostSubject) else Scope.PAIR
    found = [check.apply(subject) for check in OURS if check.scope is scope]
    return [f.id for f in found if f.verdict in (Verdict.FAIL, Verdict.WARN)]
