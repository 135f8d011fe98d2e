"""Each fault is named by its check, and by no other."""

from typing import Any

import pytest

from postcopy.nova.checks import CHECKS
from postcopy.nova.fixes import FIXES
from postcopy.readiness import HostSubject, PairSubject, Scope, Verdict
from tests.unit.nova.hosts import COMPUTE, COMPUTE_CONF, GUEST, NOVA, debian, host, sound

FAIL, WARN, SKIP = Verdict.FAIL, Verdict.WARN, Verdict.SKIP


def found(subject: HostSubject | PairSubject) -> dict[str, Verdict]:
    """Return the findings that are not as they should be."""
    scope = Scope.HOST if isinstance(subject, HostSubject) else Scope.PAIR
    findings = [check.apply(subject) for check in CHECKS if check.scope is scope]
    return {f.id: f.verdict for f in findings if f.verdict in (FAIL, WARN)}


def saw(subject: HostSubject, id_: str) -> str:
    [check] = [check for check in CHECKS if check.id == id_]
    return check.apply(subject).saw


def test_a_host_that_is_set_up_is_without_fault() -> None:
    assert found(sound()) == {}


def test_debian_as_it_is_installed_lacks_what_it_lacks() -> None:
    assert found(debian()) == {
        "nova.postcopy.permitted": FAIL,
        "nova.timeout.action": WARN,
        "nova.timeout.completion": WARN,
        "nova.address.set": WARN,
        "nova.audit.seldom": WARN,
    }


BIG = {"release": "33.0.0"}
FAULTS: list[tuple[HostSubject, dict[str, Verdict]]] = [
    (sound("live_migration_permit_post_copy = false\n"),
     {"nova.postcopy.permitted": FAIL}),
    (sound("live_migration_timeout_action = abort\n"),
     {"nova.timeout.action": WARN}),
    (sound("live_migration_completion_timeout = 800\n"), {"nova.timeout.completion": WARN}),
    (sound("live_migration_completion_timeout = 0\n"), {"nova.timeout.completion": WARN}),
    (sound("live_migration_downtime = 5000\n"), {"nova.downtime.short": WARN}),
    (sound("live_migration_permit_auto_converge = true\n"), {"nova.auto-converge.off": WARN}),
    (sound("live_migration_parallel_connections = 4\n", **BIG), {"nova.parallel.compatible": FAIL}),
    (sound("live_migration_parallel_connections = 4\n"), {"nova.config.heeded": WARN}),
    (sound("live_migration_bandwidth = 100\n"), {"nova.bandwidth.unbounded": WARN}),
    (sound("live_migration_uri = qemu+tcp://%s/system\n"), {"nova.uri.unset": WARN}),
    (sound("live_migration_uri = qemu+tcp://beta/system\n"), {"nova.uri.unset": FAIL}),
    (sound("live_migration_scheme = rdma\n"), {"nova.scheme.known": FAIL}),
    (sound("live_migration_scheme = tls\n"), {"nova.tls.consistent": WARN}),
    (sound("live_migration_tunnelled = true\n"), {"nova.tunnelled.off": FAIL}),
    (sound("live_migration_tunnelled = true\nlive_migration_with_native_tls = true\n"),
     {"nova.tunnelled.off": FAIL, "nova.tls.consistent": FAIL}),
    (sound("live_migration_inbound_addr = 10.0.0.9\n"), {"nova.address.own": FAIL}),
    (sound("live_migration_inbound_addr = 127.0.1.1\n"), {"nova.address.own": FAIL}),
    (sound("live_migration_inbound_addr = nowhere\n", names={"nowhere": []}),
     {"nova.address.own": FAIL}),
    (sound("live_migration_inbound_addr =\n"), {"nova.address.set": WARN}),
    (sound("live_migration_flag = VIR_MIGRATE_LIVE, VIR_MIGRATE_ENABLE_POSTCOPY\n"),
     {"nova.flags.removed": WARN}),
    (sound("virt_type = lxc\n", more="[libvirt]\nvirt_type = lxc\n",
           layout=[["file", COMPUTE], ["file", NOVA]]), {"nova.virt-type.qemu": FAIL}),
    (sound("cpu_mode = host-passthrough\n"), {"nova.cpu-mode.portable": WARN}),
    (sound("cpu_mode = custom\n"), {"nova.cpu-mode.portable": FAIL}),
    (sound(default="update_resources_interval = 0\n"), {"nova.audit.seldom": WARN}),
    (sound(default="max_concurrent_live_migrations = 0\n"), {"nova.concurrency.bounded": WARN}),
    (sound(default="vif_plugging_timeout = 0\n"), {"nova.vif.plugged": WARN}),
    (sound(default="vif_plugging_timeout = 3600\n"), {"nova.vif.plugged": WARN}),
    (sound(default="sync_power_state_interval = -1\n"), {"nova.power-state.synced": WARN}),
    (sound(more="[compute]\nlive_migration_wait_for_vif_plug = false\n"),
     {"nova.vif.plugged": WARN}),
    (sound(more="[workarounds]\nhandle_virt_lifecycle_events = false\n"),
     {"nova.events.handled": FAIL}),
    (sound(more="[workarounds]\nskip_hypervisor_version_check_on_lm = true\n"),
     {"nova.workarounds.version": WARN}),
    (sound(more="[workarounds]\ndisable_deep_image_inspection = true\n"),
     {"nova.workarounds.images": WARN}),
    (sound(more="[upgrade_levels]\ncompute = train\n"), {"nova.rpc.unpinned": WARN}),
    (sound(more="[pci]\ndevice_spec = {}\n"), {"nova.pci.assignable": WARN}),
    (sound("live_migration_downtime = 1\n"), {"nova.config.valid": FAIL}),
    (sound("nonsense\n"), {"nova.config.parsable": FAIL}),
    (sound(process=None), {"nova.service.running": WARN}),
    (sound(changed={NOVA: 2000.0}), {"nova.service.current": WARN}),
    (sound(guests=[{**GUEST, "state": "paused", "reason": "post-copy failed"}]),
     {"nova.service.unhurt": FAIL}),
    (sound(proofs={"libvirt": {"user": "nova", "error": "Permission denied"}}),
     {"nova.service.libvirt": FAIL}),
    (sound(release="18.3.0"),
     {"nova.release.postcopy": WARN, "nova.config.heeded": WARN, "nova.vif.plugged": WARN}),
    (sound(release="13.1.4"), {"nova.release.postcopy": FAIL, "nova.config.heeded": WARN}),
]  # fmt: skip


@pytest.mark.parametrize(("broken", "named"), FAULTS)
def test_a_fault_is_named_and_no_other(broken: HostSubject, named: dict[str, Verdict]) -> None:
    assert found(broken) == named


def test_a_host_without_nova_is_skipped_and_says_why() -> None:
    findings = [check.apply(host({}, compute=False)) for check in CHECKS
                if check.scope is Scope.HOST]  # fmt: skip
    assert {finding.verdict for finding in findings} == {SKIP}
    assert all("no compute host" in finding.saw for finding in findings)


def test_the_wait_is_told_in_hours_for_the_largest_guest() -> None:
    told = saw(debian(guests=[GUEST, {**GUEST, "name": "small", "memory_bytes": 1 << 30}]),
               "nova.timeout.completion")  # fmt: skip
    assert "14.2 hours for web1, its largest guest (64 GiB)" in told


def test_a_finding_names_file_and_line() -> None:
    broken = sound("live_migration_tunnelled = true\n")
    line = saw(broken, "nova.tunnelled.off")
    assert f"({NOVA}:" in line


def test_an_unparsable_file_is_named_with_its_line() -> None:
    told = saw(host({NOVA: "[DEFAULT]\nhost = a\n???\n", COMPUTE: COMPUTE_CONF}),
               "nova.config.parsable")  # fmt: skip
    assert f"{NOVA}:3: " in told


def test_a_drop_in_that_has_no_effect_is_noticed() -> None:
    files = {
        "/etc/nova/nova.conf.d/x.conf": "[libvirt]\nvirt_type = qemu\n",
        NOVA: "[libvirt]\nvirt_type = kvm\n",
        COMPUTE: COMPUTE_CONF.replace("virt_type=kvm\n", ""),
    }
    assert "nova.config.shadowed" in found(host(files))
    assert "x.conf:2" in saw(host(files), "nova.config.shadowed")


def test_old_flags_that_ask_for_post_copy_in_vain_are_a_failure() -> None:
    broken = debian("live_migration_flag = VIR_MIGRATE_ENABLE_POSTCOPY,VIR_MIGRATE_TUNNELLED\n")
    [check] = [check for check in CHECKS if check.id == "nova.flags.removed"]
    finding = check.apply(broken)
    assert finding.verdict is FAIL
    assert "live_migration_permit_post_copy = true" in finding.remedy
    assert "live_migration_with_native_tls = true" in finding.remedy


def pair(left: Any, right: Any) -> PairSubject:
    return PairSubject(left, right)


BETA = {"hostname": "beta", "addresses": [["10.0.0.2", "24", "data"]]}


def beta(text: str = "", **more: Any) -> HostSubject:
    return sound("live_migration_inbound_addr = 10.0.0.2\n" + text, **{**BETA, **more})


PAIRS: list[tuple[HostSubject, dict[str, Verdict]]] = [
    (beta(), {}),
    (beta("live_migration_permit_post_copy = false\n"), {"nova.pair.settings": WARN}),
    (beta("live_migration_with_native_tls = true\n"), {"nova.pair.settings": FAIL}),
    (beta(release="32.0.0"), {"nova.pair.releases": WARN}),
    (beta(release="33.0.0"), {"nova.pair.releases": WARN}),
    (beta(release="30.0.0"), {"nova.pair.releases": WARN}),
    (beta(release="28.0.0"), {"nova.pair.releases": FAIL}),
    (beta("live_migration_inbound_addr = 10.0.0.1\n"), {"nova.pair.address": FAIL}),
    (beta("live_migration_inbound_addr = 192.168.7.2\n"), {"nova.pair.network": WARN}),
    (beta(hostname="alpha"), {"nova.pair.host": FAIL}),
]


@pytest.mark.parametrize(("other", "named"), PAIRS)
def test_what_two_hosts_disagree_on_is_named(other: HostSubject, named: dict[str, Verdict]) -> None:
    assert found(pair(sound(), other)) == named


def test_every_check_explains_itself_and_names_a_fix_that_is_there() -> None:
    fixes = {fix.id for fix in FIXES}
    for check in CHECKS:
        assert check.layer == "nova"
        assert check.title
        assert check.remedy
        assert check.why.endswith(".")
        assert not check.fix or check.fix in fixes
    assert len(CHECKS) >= 35
