"""The pure parts: options, statistics, known issues, and the judgement about two halves."""

import xml.etree.ElementTree as ET
from typing import Any

import libvirt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy import known_issues
from postcopy.errors import PostcopyError, RefusedError, RetryableError, UsageError
from postcopy.libvirt.connection import translate
from postcopy.libvirt.guards import (
    DomainFacts,
    _check_disks,
    _check_domain,
    _check_versions,
    _disks,
)
from postcopy.libvirt.look import Half, judge
from postcopy.libvirt.options import LibvirtOptions
from postcopy.libvirt.refusals import explain
from postcopy.libvirt.status import disks_in_words, figures_of, phase_of_event, sample_of
from postcopy.migration import Phase

RUNNING = Half(True, libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED)
MIGRATING = Half(True, libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED, True)
ARRIVED = Half(True, libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_MIGRATED)
THERE_IN_POSTCOPY = Half(True, libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY)
HERE_IN_POSTCOPY = Half(True, libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY, True)
BROKEN = Half(True, libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED)
GONE = Half(True)
SHUT_OFF = Half(True, libvirt.VIR_DOMAIN_SHUTOFF)
SILENT = Half(False)


@pytest.mark.parametrize(
    ("source", "destination", "phase"),
    [
        (MIGRATING, GONE, Phase.PRECOPY),
        (RUNNING, GONE, Phase.SETUP),
        (HERE_IN_POSTCOPY, THERE_IN_POSTCOPY, Phase.POSTCOPY),
        (HERE_IN_POSTCOPY, SILENT, Phase.POSTCOPY),
        (BROKEN, THERE_IN_POSTCOPY, Phase.PAUSED),
        (GONE, ARRIVED, Phase.COMPLETED),
        (SHUT_OFF, ARRIVED, Phase.COMPLETED),
        (GONE, BROKEN, Phase.PAUSED),
        (SILENT, THERE_IN_POSTCOPY, Phase.POSTCOPY),
        (SILENT, ARRIVED, Phase.UNKNOWN),
        (GONE, GONE, Phase.UNKNOWN),
        (SILENT, SILENT, Phase.UNKNOWN),
    ],
)
def test_two_halves_are_judged(source: Half, destination: Half, phase: Phase) -> None:
    assert judge(source, destination) is phase


halves = st.builds(
    Half,
    st.booleans(),
    st.none() | st.integers(0, 8),
    st.integers(-1, 20),
    st.booleans(),
)


@given(halves, halves)
def test_nothing_is_called_completed_unless_the_guest_is_seen_running_there(
    source: Half, destination: Half
) -> None:
    if judge(source, destination) is Phase.COMPLETED:
        assert destination.state == libvirt.VIR_DOMAIN_RUNNING
        assert not source.active
        assert source.reachable


def test_events_announce_phases() -> None:
    suspended = libvirt.VIR_DOMAIN_EVENT_SUSPENDED
    assert phase_of_event(suspended, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY) is Phase.POSTCOPY
    failed = libvirt.VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY_FAILED
    assert phase_of_event(suspended, failed) is Phase.PAUSED
    assert phase_of_event(libvirt.VIR_DOMAIN_EVENT_STOPPED, 3) is None
    assert phase_of_event(suspended, 12345) is None


def test_a_policy_sees_memory_and_no_disks() -> None:
    statistics = {
        "type": 2, "memory_total": 100, "memory_remaining": 10, "memory_processed": 90,
        "data_total": 300, "data_remaining": 110, "data_processed": 190,
        "memory_bps": 5, "memory_dirty_rate": 3, "memory_page_size": 4096, "memory_iteration": 2,
    }  # fmt: skip
    sample = sample_of(statistics, 1.0, Phase.PRECOPY, pass_ended_at=0.9)
    assert (sample.total_bytes, sample.remaining_bytes, sample.transferred_bytes) == (100, 10, 90)
    assert sample.dirty_rate == 3 * 4096
    assert sample.pass_ended


def test_the_copying_of_disks_is_told_until_memory_moves() -> None:
    copying = {"disk_total": 64_000_000, "disk_remaining": 52_000_000, "memory_total": 0}
    assert disks_in_words(copying) == "copying disks: 12.0 MB of 64.0 MB"
    assert disks_in_words({**copying, "memory_total": 100}) == ""
    assert disks_in_words({"disk_total": 0, "disk_remaining": 0}) == ""


class Refusal(libvirt.libvirtError):  # type: ignore[misc]  # the bindings have no types
    """An error as libvirt raises it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.err = (code, libvirt.VIR_FROM_QEMU, text, 2, None, None, None, 0, 0)


@pytest.mark.parametrize(
    ("code", "text", "fate", "hint"),
    [
        ("MIGRATE_UNSAFE", "Unsafe migration: Migration without shared storage is unsafe",
         RefusedError, "--copy-storage-all"),
        ("MIGRATE_UNSAFE", "Unsafe migration: disks use cache other than none or directsync",
         RefusedError, "cache='none'"),
        ("OPERATION_UNSUPPORTED", "pre-creation for incremental storage migration of disk 'vda'",
         RefusedError, "backing image"),
        ("NO_STORAGE_POOL", "no storage pool with matching target path '/images'",
         RefusedError, "pool-create-as"),
        ("SYSTEM_ERROR", "Cannot access storage file '/images/web1.qcow2'",
         RefusedError, "pool-refresh"),
        ("INTERNAL_ERROR", "unable to execute QEMU command 'migrate-start-postcopy': Postcopy must",
         RetryableError, "disks"),
        ("INTERNAL_ERROR", "Unable to access credentials /etc/pki/qemu/ca-cert.pem",
         RefusedError, "certificates"),
    ],
)  # fmt: skip
def test_refusals_keep_their_words_and_say_what_to_do(
    code: str, text: str, fate: type[PostcopyError], hint: str
) -> None:
    told = translate(Refusal(getattr(libvirt, f"VIR_ERR_{code}"), text), "qemu:///system")
    assert type(told) is fate
    assert text in told.message
    assert hint in told.hint


def test_other_refusals_are_not_guessed_at() -> None:
    assert explain(Refusal(libvirt.VIR_ERR_INTERNAL_ERROR, "something else"), "here") is None


def test_figures_are_seconds_and_bytes() -> None:
    figures = figures_of({"time_elapsed": 4460, "downtime": 7, "memory_processed": 9})
    assert figures.total_seconds == pytest.approx(4.46)
    assert figures.downtime_seconds == pytest.approx(0.007)
    assert figures.transferred_bytes == 9
    assert figures_of({}).total_seconds is None


def test_flags_follow_the_domain_unless_told_otherwise() -> None:
    both = libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    as_it_is = LibvirtOptions()
    assert as_it_is.flags(peer_to_peer=True, persistent=True) & both == both
    assert not as_it_is.flags(peer_to_peer=True, persistent=False) & both
    kept = LibvirtOptions(undefinesource=False)
    assert kept.flags(peer_to_peer=True, persistent=True) & both == libvirt.VIR_MIGRATE_PERSIST_DEST


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"copy_storage": "all"}, libvirt.VIR_MIGRATE_NON_SHARED_DISK),
        ({"copy_storage": "inc"}, libvirt.VIR_MIGRATE_NON_SHARED_INC),
        ({"copy_storage": "all", "copy_storage_synchronous_writes": True},
         libvirt.VIR_MIGRATE_NON_SHARED_SYNCHRONOUS_WRITES),
        ({"unsafe": True}, libvirt.VIR_MIGRATE_UNSAFE),
        ({"tls": True}, libvirt.VIR_MIGRATE_TLS),
        ({"auto_converge": True}, libvirt.VIR_MIGRATE_AUTO_CONVERGE),
    ],
)  # fmt: skip
def test_options_become_flags_beside_postcopy(options: dict[str, Any], flag: int) -> None:
    flags = LibvirtOptions(**options).flags(peer_to_peer=True, persistent=True)
    assert flags & flag
    assert flags & libvirt.VIR_MIGRATE_POSTCOPY


def test_bandwidth_is_rounded_up_to_mib() -> None:
    parameters = LibvirtOptions(bandwidth=1, postcopy_bandwidth=(1 << 20) + 1).parameters()
    assert parameters[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] == 1
    assert parameters[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH_POSTCOPY] == 2


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"tunnelled": True}, RefusedError, "tunnelled"),
        ({"compressed": True}, RefusedError, "excludes post-copy"),
        ({"copy_storage": "some"}, UsageError, "'some'"),
        ({"migrate_disks": ("vda",)}, UsageError, "no storage"),
        ({"copy_storage_synchronous_writes": True}, UsageError, "none are copied"),
        ({"persistent": False, "persistent_xml": "<domain/>"}, UsageError, "leave|persistent"),
    ],
)
def test_options_that_exclude_postcopy_or_each_other(
    options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        LibvirtOptions(**options)


def test_without_postcopy_they_are_allowed() -> None:
    options = LibvirtOptions(compressed=True, tunnelled=True, postcopy=False)
    assert options.flags(peer_to_peer=True, persistent=True) & libvirt.VIR_MIGRATE_TUNNELLED


def test_a_record_leads_back() -> None:
    options = LibvirtOptions(copy_storage="inc", migrate_disks=("vda", "vdb"), bandwidth=5)
    assert LibvirtOptions.of_record(options.record()) == options


def test_a_record_keeps_no_definition() -> None:
    """One may hold a password, and the journal is a file."""
    options = LibvirtOptions(xml="<graphics passwd='s3cret'/>", persistent_xml="s3cret", dname="x")
    assert "s3cret" not in str(options.record())
    assert LibvirtOptions.of_record(options.record()).dname == "x"


@pytest.mark.parametrize(
    ("name", "version", "accelerator", "affected"),
    [
        ("multifd-postcopy-loss", (7, 2, 22), "kvm", True),
        ("multifd-postcopy-loss", (8, 1, 0), "kvm", False),
        ("multifd-postcopy", (10, 0, 13), "kvm", True),
        ("multifd-postcopy", (10, 1, 0), "kvm", False),
        ("tcg-memory-corruption", (8, 2, 0), "tcg", True),
        ("tcg-memory-corruption", (8, 2, 0), "kvm", False),
        ("tcg-memory-corruption", (9, 0, 0), "tcg", False),
        ("preempt-channel-order", (7, 0, 0), None, False),
        ("preempt-channel-order", (7, 2, 22), None, True),
        ("preempt-channel-order", (8, 0, 0), None, False),
        ("parallel-postcopy-unchecked", (12, 8, 0), None, True),
        ("no-resume", (8, 4, 0), None, True),
        ("no-resume", (9, 0, 0), None, False),
        ("resume-crash", (11, 1, 0), None, False),
        ("resume-crash", (11, 3, 0), None, True),
        ("resume-crash", (11, 4, 0), None, False),
        ("tcg-dirty-bitmap", (11, 1, 0), "tcg", True),
    ],
)
def test_known_issues_have_a_beginning_and_an_end(
    name: str, version: known_issues.Version, accelerator: str | None, affected: bool
) -> None:
    assert known_issues.issue(name).affects(version, accelerator) is affected


def test_one_old_side_is_enough() -> None:
    found = known_issues.find("qemu", [(11, 1, 0), (10, 0, 0)])
    assert [known.id for known in found] == ["multifd-postcopy", "device-state-loss"]


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ([(7, 2, 0), (10, 1, 0)], "lose the guest on both sides"),
        ([(11, 1, 0), (10, 0, 13)], "exclude post-copy"),
    ],
)
def test_parallel_is_refused_for_what_the_older_qemu_does(
    versions: list[known_issues.Version], said: str
) -> None:
    with pytest.raises(RefusedError, match=said) as caught:
        _check_versions(versions, LibvirtOptions(parallel=True))
    assert "QEMU 10.1.0" in caught.value.hint


def test_no_entry_of_the_table_is_there_twice() -> None:
    ids = [known.id for known in known_issues.KNOWN_ISSUES]
    assert len(ids) == len(set(ids))


def facts(**more: Any) -> DomainFacts:
    usual = {
        "name": "web1", "uuid": "u", "persistent": True, "running": True, "paused": False,
        "job": False, "vfio": (), "emulated": False,
    }  # fmt: skip
    return DomainFacts(**{**usual, **more})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"job": True}, "already being migrated"),
        ({"paused": True, "running": False}, "paused"),
        ({"running": False}, "not running"),
        ({"vfio": ("subsystem pci",)}, "VFIO"),
    ],
)
def test_guards_say_why(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said) as caught:
        _check_domain(facts(**changed), LibvirtOptions())
    assert caught.value.hint


DISKS = """<domain><devices>
  <disk type='file' device='disk'><source file='/a'/><target dev='vda'/></disk>
  <disk type='file' device='cdrom'><target dev='sda'/><readonly/></disk>
  <disk type='file' device='disk'><source file='/b'/><target dev='vdb'/><readonly/></disk>
  <disk type='network' device='disk'><source protocol='rbd' name='c'/><target dev='vdc'/></disk>
</devices></domain>"""


def test_only_disks_that_can_be_copied_may_be_named() -> None:
    disks = _disks(ET.fromstring(DISKS))
    assert disks == ("vda", "vdc")
    _check_disks(facts(disks=disks), LibvirtOptions(copy_storage="all", migrate_disks=("vda",)))
    wanted = LibvirtOptions(copy_storage="all", migrate_disks=("vda", "vdb"))
    with pytest.raises(UsageError, match="no disk vdb") as caught:
        _check_disks(facts(disks=disks), wanted)
    assert "vda, vdc" in caught.value.hint


def test_parallel_with_postcopy_is_refused_below_10_1_and_says_what_lifts_it() -> None:
    options = LibvirtOptions(parallel=True)
    with pytest.raises(RefusedError, match=r"QEMU 10\.0\.13") as caught:
        _check_versions([(10, 1, 2), (10, 0, 13)], options)
    assert "QEMU 10.1.0 lifts this" in caught.value.hint
    _check_versions([(10, 1, 0), (11, 1, 0)], options)
    _check_versions([(7, 2, 0)], LibvirtOptions(parallel=True, postcopy=False))
