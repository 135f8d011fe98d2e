"""A guest that may go from one host to another."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.libvirt.monitor import with_monitor
from postcopy.libvirt.readiness import CHECKS, ArrivalFacts, GuestFacts, LibvirtFacts, PathFacts
from postcopy.readiness import (
    Evidence,
    Facts,
    GuestSubject,
    HostSubject,
    PairSubject,
    Scope,
    Verdict,
)

from .hosts import answer, guest_facts, host, judge, recorded

Section = dict[str, Any]

UUID = "6a7bf1c4-7f3e-4c5e-8a11-0d6a5b0f7c11"
OTHER = "11111111-7f3e-4c5e-8a11-0d6a5b0f7c11"
SAME = "CPU described in /dev/stdin is identical to the CPU provided by hypervisor on the host\n"
MORE = "CPU described in /dev/stdin is incompatible with the CPU provided by hypervisor\n"
TABLE = " Type   Device   Target   Source\n---------\n"


def xml(more: str = "", devices: str = "", cpu: str = "", kind: str = "qemu", mib: int = 64) -> str:
    return f"""<domain type='{kind}' id='1'>
  <name>web</name><uuid>{UUID}</uuid>
  <memory unit='KiB'>{mib * 1024}</memory>
  <os><type arch='x86_64' machine='pc-i440fx-10.0'>hvm</type></os>
  {cpu or "<cpu mode='custom' match='exact'><model>qemu64</model></cpu>"}
  {more}
  <devices>{devices}</devices>
</domain>
"""


def source(definition: str | None = None, **told: str) -> Section:
    """Return what the source's probe tells of the guest, beside the host."""
    commands = {
        "guest-xml": definition or xml(),
        "guest-state": "running (booted)\n",
        "guest-job": "Job type:         None        \n",
        "guest-snapshots": "\n",
        "guest-query-migrate": '{"return":{},"id":"libvirt-17"}\n',
    }
    return recorded(commands={**commands, **told})


def storage(path: str, filesystem: str) -> dict[str, str]:
    return {f"storage {path}": f"{filesystem}\n"}


def going(
    here: Section | None = None,
    there: Section | None = None,
    *,
    cpu: str = SAME,
    paths: tuple[str, ...] = (),
    swtpm: bool = False,
    rate: float | None = 125e6,
) -> GuestSubject:
    """Return a guest on its way, and what its destination has for it."""
    here = here or source()
    throughput = {} if rate is None else {"bytes": rate, "seconds": 1.0}
    way = PathFacts.of(
        "beta", Evidence({}), Evidence({"proofs": {"dialled": {"throughput": throughput}}})
    )
    pair = PairSubject(host(here), host(there or recorded(), "beta"), Facts([way]))
    arrived = {
        "commands": {"cpu-compare": answer(cpu), "swtpm": answer(code=0 if swtpm else 127)},
        "files": {path: {"mode": 0o644} for path in paths},
    }
    known = Facts([guest_facts(here), ArrivalFacts.of(Evidence(arrived))])
    return GuestSubject("web", pair, known)


def of(more: str = "", devices: str = "", **changes: Any) -> GuestSubject:
    return going(source(xml(more, devices, **changes)))


def disk(kind: str, where: str, cache: str = "", more: str = "") -> str:
    driver = f"<driver name='qemu' type='raw' cache='{cache}'/>" if cache else ""
    return f"<disk type='{kind}'>{driver}<source {where}/><target dev='vda'/>{more}</disk>"


def huge(unit: str, size: int = 1) -> str:
    page = f"<page size='{size}' unit='{unit}'/>"
    return f"<memoryBacking><hugepages>{page}</hugepages></memoryBacking>"


def pages(size_kib: int, free: int) -> Section:
    path = f"/sys/kernel/mm/hugepages/hugepages-{size_kib}kB/free_hugepages"
    return recorded(files={path: {"mode": 0o444, "text": f"{free}\n"}})


def domains(text: str, running: str = "") -> Section:
    return recorded(commands={"domains": text, "running": running})


def libvirt(version: str) -> Section:
    said = f"Using library: libvirt {version}\nRunning hypervisor: QEMU 10.0.0\n"
    return recorded(commands={"version": said})


def on(host_version: str) -> Section:
    said = f"Using library: libvirt 11.3.0\nRunning hypervisor: QEMU {host_version}\n"
    return recorded(commands={"version": said})


FILE = disk("file", "file='/img/a.raw'")
LOCAL = {"definition": xml(devices=FILE), **storage("/img/a.raw", "ext2/ext3")}
NOVA = "<metadata><n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/1.1'/></metadata>"
BY_NOVA = {**LOCAL, "definition": xml(NOVA, FILE)}
SHARED = {"definition": xml(devices=FILE), **storage("/img/a.raw", "nfs")}
CDROM = xml(devices=disk("file", "file='/img/a.iso'", more="<readonly/>"))
PASSTHROUGH = "<cpu mode='host-passthrough'/>"
KVM_HERE = source(xml(cpu=PASSTHROUGH, kind="kvm"))
BLOCKED = '{"return":{"blocked-reasons":["0000:00:02.0/virtio-9p: mounted"]}}'

PREPARED = source(with_monitor(xml(), "/var/lib/libvirt/qemu/postcopy-web.monitor"))

CASES: list[tuple[str, GuestSubject, str, str]] = [
    ("recovery", going(PREPARED), "pass", "has a second monitor"),
    ("recovery", going(), "warn", "libvirt's own does not work"),
    ("recovery", going(there=libvirt("11.4.0")), "pass", "a way into the destination's host"),
    ("recovery", going(there=libvirt("8.0.0")), "warn", "libvirt's own does not work"),
    ("running", going(), "pass", "running (booted)"),
    ("running", going(source(**{"guest-state": "paused (user)\n"})), "fail", "paused (user)"),
    ("running", going(source(**{"guest-state": "paused (post-copy failed)\n"})), "fail",
     "post-copy failed"),
    ("running", going(source(**{"guest-state": "shut off (destroyed)"})), "fail", "shut off"),
    ("running", going(source(definition="<nonsense")), "fail", "cannot be read"),
    ("job", going(), "pass", "no job"),
    ("job", going(source(**{"guest-job": "Job type:         Unbounded   \n"})), "fail",
     "Unbounded"),
    ("blocked", going(), "pass", "no blocker"),
    ("blocked", going(source(**{"guest-query-migrate": BLOCKED})), "fail", "virtio-9p"),
    ("blocked", going(source(**{"guest-query-migrate": "error: timed out"})), "skip", "answer"),
    ("host-devices", of(), "pass", "none"),
    ("host-devices", of(devices="<hostdev mode='subsystem' type='pci'/>"), "fail", "subsystem pci"),
    ("host-devices", of(devices="<hostdev mode='subsystem' type='mdev'/>"), "fail", "mdev"),
    ("host-devices", of(devices="<interface type='hostdev'/>"), "fail", "interface hostdev"),
    ("vhost-user", of(), "pass", "none"),
    ("vhost-user", of(devices="<interface type='vhostuser'/>"), "warn", "interface"),
    ("vhost-user", of(devices="<disk type='vhostuser'/>"), "warn", "disk"),
    ("filesystems", of(), "pass", "no filesystem"),
    ("filesystems", of(devices="<filesystem type='mount'><driver type='virtiofs'/>"
     "<target dir='share'/></filesystem>"), "fail", "virtiofs share"),
    ("filesystems", of(devices="<filesystem type='mount'><target dir='x'/></filesystem>"), "fail",
     "9p x"),
    ("cpu", going(), "pass", "identical"),
    ("cpu", going(cpu=MORE), "fail", "lacks"),
    ("cpu", going(cpu=""), "skip", "could not be compared"),
    ("cpu", of(cpu=PASSTHROUGH), "skip", "cpu-mode"),
    ("cpu-mode", going(), "pass", "custom"),
    ("cpu-mode", of(cpu=PASSTHROUGH), "pass", "by the same QEMU"),
    ("cpu-mode", going(KVM_HERE), "pass", "the same CPU"),
    ("cpu-mode", going(KVM_HERE, recorded("bookworm")), "fail", "CPUs differ"),
    ("machine", going(), "pass", "pc-i440fx-10.0"),
    ("machine", going(source(xml().replace("10.0", "10.9"))), "fail", "10.9"),
    ("machine", going(there=recorded(commands={"capabilities": ""})), "skip", "does not list"),
    ("disks", going(), "pass", "on the network"),
    ("disks", of(devices=disk("network", "protocol='rbd' name='a'")), "pass", "on the network"),
    ("disks", going(source(**SHARED)), "pass", "share"),
    ("disks", going(source(**LOCAL)), "fail", "not at the destination: /img/a.raw"),
    ("disks", going(source(**BY_NOVA)), "pass", "Nova copies along what is not there: /img/a.raw"),
    ("disks", going(source(**LOCAL), paths=("/img/a.raw",)), "warn", "not known to be shared"),
    ("disks", going(source(CDROM), paths=("/img/a.iso",)), "pass", "read-only"),
    ("disk-cache", going(), "pass", "none"),
    ("disk-cache", going(source(**SHARED)), "warn", "vda (default)"),
    ("disk-cache", of(devices=disk("file", "file='/a'", "writeback")), "warn", "writeback"),
    ("disk-cache", of(devices=disk("block", "dev='/dev/a'", "none")), "pass", "none"),
    ("tpm", going(), "pass", "none"),
    ("tpm", of(devices="<tpm><backend type='passthrough'/></tpm>"), "fail", "passthrough"),
    ("tpm", of(devices="<tpm><backend type='emulator'/></tpm>"), "fail", "no swtpm"),
    ("tpm", going(source(xml(devices="<tpm><backend type='emulator'/></tpm>")), swtpm=True),
     "pass", "has swtpm"),
    ("snapshots", going(), "pass", "none"),
    ("snapshots", going(source(**{"guest-snapshots": "before\nafter\n\n"})), "fail",
     "2: before, after"),
    ("snapshots", going(source(**{"guest-checkpoints": "c1\n"})), "fail", "c1"),
    ("name", going(), "pass", "nobody"),
    ("name", going(there=domains(f"{UUID} web\n")), "pass", "shut off"),
    ("name", going(there=domains(f"{OTHER} web\n")), "fail", "another guest"),
    ("name", going(there=domains(f"{UUID} db\n")), "fail", "is called db there"),
    ("name", going(there=domains(f"{UUID} web", "Domain: 'web'\n")), "fail", "runs there"),
    ("emulated", going(), "pass", "10.0.13"),
    ("emulated", of(kind="kvm"), "skip", "KVM"),
    ("emulated", going(there=on("7.2.0")), "fail", "corrupts"),
    ("memory", going(), "pass", "are available"),
    ("memory", of(mib=9_000_000), "fail", "are needed"),
    ("memory", going(source(xml(huge("M", 2))), pages(2048, 32)), "pass", "32 are needed"),
    ("memory", going(source(xml(huge("M", 2))), pages(2048, 31)), "fail", "31 pages"),
    ("huge-pages", going(), "pass", "ordinary"),
    ("huge-pages", of("<memoryBacking><hugepages/></memoryBacking>"), "pass", "2.10 MB"),
    ("huge-pages", of(huge("G")), "warn", "8.59 s for each at 125 MB/s"),
    ("huge-pages", going(source(xml(huge("GiB"))), rate=None), "warn", "1.07 GB"),
    ("memory-file", going(), "pass", "anonymous"),
    ("memory-file", of("<memoryBacking><source type='memfd'/></memoryBacking>"), "pass", "memfd"),
    ("memory-file", of("<memoryBacking><source type='file'/></memoryBacking>"), "fail",
     "/var/lib/libvirt/qemu/ram"),
    ("memory-file", going(source(xml("<memoryBacking><source type='file'/></memoryBacking>")),
     recorded(conf={"qemu": 'memory_backing_dir = "/dev/shm/x"'})), "pass", "tmpfs"),
    ("memory-locked", going(), "pass", "not"),
    ("memory-locked", of("<memoryBacking><locked/></memoryBacking>"), "warn", "locked"),
    ("nvdimm", going(), "pass", "none"),
    ("nvdimm", of(devices="<memory model='nvdimm'/>"), "fail", "nvdimm"),
    ("nvdimm", of(devices="<memory model='dimm'/>"), "pass", "none"),
    ("shared-memory", going(), "pass", "no shmem"),
    ("shared-memory", of(devices="<shmem name='s' role='peer'/>"), "fail", "s (peer)"),
    ("shared-memory", of(devices="<shmem name='s'/>"), "warn", "s (master)"),
    ("protected", going(), "pass", "no launchSecurity"),
    ("protected", of("<launchSecurity type='sev-snp'/>"), "fail", "sev-snp"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "subject", "verdict", "said"), CASES)
def test_a_check(name: str, subject: GuestSubject, verdict: str, said: str) -> None:
    found = judge(f"libvirt.guest.{name}", subject)
    assert found.verdict == verdict, found.saw
    assert said in found.saw


def test_a_guest_of_the_lab_is_understood_and_ready() -> None:
    here = recorded("trixie")
    here["commands"].update(recorded("guest")["commands"])
    found = guest_facts(here)
    assert (found.name, found.state, found.machine) == ("l-g1", "running", "pc-i440fx-10.0")
    assert (found.emulated, found.blocked, found.job) == (True, (), "")
    judged = {check.id: check.apply(going(here)).verdict for check in GUEST_CHECKS}
    # It was recorded before guests of the lab had second monitors.
    assert judged.pop("libvirt.guest.recovery") is Verdict.WARN
    assert set(judged.values()) == {Verdict.PASS}


GUEST_CHECKS = [check for check in CHECKS if check.scope is Scope.GUEST]


def test_every_check_is_tried() -> None:
    assert {one.id for one in GUEST_CHECKS} == {f"libvirt.guest.{case[0]}" for case in CASES}


def test_a_guest_that_is_not_there_is_told_so_once() -> None:
    section = source()
    section["commands"]["guest-xml"] = answer(code=1, err="error: failed to get domain 'web'")
    found = [check.apply(going(section)) for check in GUEST_CHECKS]
    wrong = [one for one in found if one.verdict in (Verdict.FAIL, Verdict.WARN)]
    assert [(one.id, one.saw) for one in wrong] == [
        ("libvirt.guest.running", "error: failed to get domain 'web'")
    ]


def test_hosts_of_which_nothing_is_known_break_no_check() -> None:
    empty = HostSubject("alpha", Facts([LibvirtFacts.of(Evidence(None))]))
    subject = GuestSubject(
        "web", PairSubject(empty, empty), Facts([GuestFacts.of(Evidence(source()))])
    )
    for check in GUEST_CHECKS:
        assert check.apply(subject).verdict in Verdict


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><domain><name>&b;</name></domain>',
        '<!DOCTYPE d SYSTEM "file:///etc/passwd"><domain/>',
        "<domain><name>web</name>",
        "<html/>",
        "",
        "\x00\xff",
        "<a>" * 5000,
    ],
)
def test_hostile_definitions_are_no_definitions(text: str) -> None:
    found = guest_facts(source(**{"guest-xml": text or " "}))
    assert found.error
    assert found.name == ""
    assert found.xml == ""


@given(
    st.sampled_from(
        ["guest-xml", "guest-state", "guest-job", "guest-query-migrate", "guest-snapshots"]
    ),
    st.text()
    | st.sampled_from(['{"return": 3}', "[[[[", '{"return":{"blocked-reasons":{}}}', "null"])
    | st.from_regex(r"<domain>(<(memory|cpu|devices|uuid)[ a-z='0-9]*/?>){0,5}", fullmatch=True),
)
def test_no_answer_is_too_strange(command: str, text: str) -> None:
    subject = going(source(**{command: text}))
    for check in GUEST_CHECKS:
        assert check.apply(subject).verdict in Verdict


@given(st.dictionaries(st.sampled_from(["unit", "size"]), st.text("0123456789KMGiB-x"), max_size=2))
def test_no_size_is_too_strange(attributes: dict[str, str]) -> None:
    page = " ".join(f"{key}='{value}'" for key, value in attributes.items())
    found = guest_facts(
        source(xml(f"<memoryBacking><hugepages><page {page}/></hugepages></memoryBacking>"))
    )
    assert found.huge_page_bytes is not None
    assert found.huge_page_bytes >= 0
