"""nova-compute itself: what it drives, what it does besides, and whether it can."""

from postcopy.nova.checks.catalogue import CHECKS, compute, configured, left_off, said
from postcopy.nova.overrides import LEAST_AUDIT_SECONDS, audits_often
from postcopy.readiness import HostSubject, Result, failed, passed, skipped, warned

__all__: list[str] = []

_MOST_PLUG_SECONDS = 600


@CHECKS.host(
    "nova.service.running",
    title="nova-compute runs",
    why="What is looked at then is what it will read, and not what it has read.",
    remedy="systemctl start nova-compute",
)
def running(host: HostSubject) -> Result:
    facts = compute(host)
    return passed("it runs") if facts.running else warned("there is no process nova-compute")


@CHECKS.host(
    "nova.service.current",
    title="nova-compute has read its configuration as it is now",
    why="A setting that was changed afterwards counts from the next restart on.",
    remedy="systemctl restart nova-compute, while no guest is amid a migration",
)
def current(host: HostSubject) -> Result:
    facts = compute(host)
    if not facts.running:
        return skipped("nova-compute does not run")
    if facts.stale:
        return warned(f"changed since it started: {', '.join(facts.stale)}")
    return passed("no file has changed since it started")


@CHECKS.host(
    "nova.service.unhurt",
    title="no guest is left in the middle of a migration",
    why="nova-compute must not be restarted then: it would take the guest for one of this host, and"
    " stay wrong when the migration has ended elsewhere.",
    remedy="postcopy recover GUEST",
)
def unhurt(host: HostSubject) -> Result:
    spread = compute(host).spread_guests
    failed_ = [guest for guest in spread if guest.reason == "post-copy failed" or not guest.state]
    if failed_:
        return failed(
            "interrupted: " + ", ".join(f"{g.name} ({g.state} {g.reason})" for g in failed_)
        )
    if spread:
        return passed("under way: " + ", ".join(guest.name for guest in spread))
    return passed("no guest migrates")


@CHECKS.host(
    "nova.service.libvirt",
    title="nova-compute may speak to libvirt",
    why="Its user needs libvirt's socket; in the wrong group it migrates nothing.",
    remedy="usermod -aG libvirt nova, then systemctl restart nova-compute",
)
def libvirt(host: HostSubject) -> Result:
    facts = compute(host)
    if facts.libvirt_error is None:
        return skipped("it was not tried: that needs root, and a known user of nova-compute")
    if facts.libvirt_error:
        return failed(f"as {facts.user}: {facts.libvirt_error}")
    return passed(f"{facts.user} could connect")


@CHECKS.host(
    "nova.driver.libvirt",
    title="nova-compute drives libvirt",
    why="Post-copy is a matter of its libvirt driver.",
    remedy="[DEFAULT] compute_driver = libvirt.LibvirtDriver",
)
def driver(host: HostSubject) -> Result:
    facts = configured(host)
    saw = said(facts, "compute_driver", "DEFAULT")
    name = facts.configuration.value("compute_driver", "DEFAULT") or ""
    return passed(saw) if name.endswith("libvirt.LibvirtDriver") else failed(saw)


@CHECKS.host(
    "nova.virt-type.qemu",
    title="guests are QEMU's",
    why="Nova has no post-copy for containers and Virtuozzo.",
    remedy="[libvirt] virt_type = kvm",
    since="the default is kvm",
)
def virt_type(host: HostSubject) -> Result:
    facts = configured(host)
    saw = said(facts, "virt_type")
    if facts.configuration.value("virt_type") not in ("kvm", "qemu"):
        return failed(saw)
    return passed(saw)


@CHECKS.host(
    "nova.cpu-mode.portable",
    title="guests' CPUs exist on other hosts too",
    why="A guest with the very CPU of its host moves to hosts of that very model only.",
    remedy="[libvirt] cpu_mode = custom, with cpu_models that all hosts have",
    since="the default is host-model",
)
def cpu_mode(host: HostSubject) -> Result:
    facts = configured(host)
    mode, models = (facts.configuration.value(name) for name in ("cpu_mode", "cpu_models"))
    saw = said(facts, "cpu_mode")
    if mode == "host-passthrough":
        return warned(saw)
    if mode == "custom" and not models:
        return failed(f"{saw} without cpu_models: no guest starts")
    return passed(saw)


@CHECKS.host(
    "nova.pci.assignable",
    title="no devices of the host are handed to guests",
    why="A guest that holds a device of its host cannot be moved by post-copy, and nothing says so"
    " before.",
    remedy="postcopy check --guest GUEST SRC DST tells of one guest",
    since="[pci] device_spec, before it passthrough_whitelist",
)
def pci(host: HostSubject) -> Result:
    facts = configured(host)
    places = facts.configuration.all("device_spec", "pci")
    if places:
        return warned("device_spec is set: " + ", ".join(map(str, places)))
    return passed("[pci] device_spec is not set")


@CHECKS.host(
    "nova.audit.seldom",
    title="the periodic audit of the host is seldom",
    why="It stops the whole of nova-compute while libvirt lists the host's devices: 20 to 65"
    " seconds were seen, in which no migration is watched or ended.",
    remedy="[DEFAULT] update_resources_interval = 600",
    fix="nova.service",
    since="the default is every minute",
)
def audit(host: HostSubject) -> Result:
    facts = configured(host)
    saw = said(facts, "update_resources_interval", "DEFAULT")
    if audits_often(facts):
        return warned(f"{saw}: more often than each {LEAST_AUDIT_SECONDS} s")
    return passed(saw)


@CHECKS.host(
    "nova.events.handled",
    title="nova-compute heeds what libvirt tells it",
    why="By such an event Nova learns that a guest has been switched to post-copy, and runs on the"
    " destination.",
    remedy="[workarounds] handle_virt_lifecycle_events = true",
    fix="nova.service",
)
def events(host: HostSubject) -> Result:
    facts = configured(host)
    saw = said(facts, "handle_virt_lifecycle_events", "workarounds")
    if facts.configuration.value("handle_virt_lifecycle_events", "workarounds"):
        return passed(saw)
    return failed(saw)


@CHECKS.host(
    "nova.power-state.synced",
    title="Nova compares its idea of each guest with libvirt's",
    why="A guest whose end of migration Nova has missed stays wrong in its database.",
    remedy="[DEFAULT] sync_power_state_interval = 600",
    since="the default is 600 s",
)
def power_state(host: HostSubject) -> Result:
    facts = configured(host)
    saw = said(facts, "sync_power_state_interval", "DEFAULT")
    if facts.configuration.value("sync_power_state_interval", "DEFAULT") < 0:
        return warned(f"{saw}: never")
    return passed(saw)


@CHECKS.host(
    "nova.vif.plugged",
    title="the destination's network is ready before the guest moves",
    why="After the switch the guest runs at the destination at once, with or without a network.",
    remedy="[compute] live_migration_wait_for_vif_plug = true; [DEFAULT] vif_plugging_timeout ="
    " 300",
    since="Nova 17 (Queens); the default is true since Nova 19 (Stein)",
)
def vif(host: HostSubject) -> Result:
    facts = configured(host)
    value = facts.configuration.value
    saw = said(facts, "live_migration_wait_for_vif_plug", "compute")
    seconds = value("vif_plugging_timeout", "DEFAULT")
    if facts.release is not None and facts.release < 17:
        return skipped(f"Nova {facts.version} does not know live_migration_wait_for_vif_plug")
    if not value("live_migration_wait_for_vif_plug", "compute"):
        return warned(saw)
    saw += f", {said(facts, 'vif_plugging_timeout', 'DEFAULT')}"
    if seconds == 0:
        return warned(f"{saw}: it does not wait")
    if seconds > _MOST_PLUG_SECONDS:
        return warned(f"{saw}: a migration may wait that long before it begins")
    return passed(saw)


@CHECKS.host(
    "nova.workarounds.images",
    title="images are inspected before QEMU sees them",
    why="Without it an image may name files of the host as its own.",
    remedy="[workarounds] disable_deep_image_inspection = false",
    since="Nova 27 (2023.1), and security updates of earlier ones",
)
def images(host: HostSubject) -> Result:
    return left_off(host, "disable_deep_image_inspection", "workarounds")


@CHECKS.host(
    "nova.workarounds.cpu",
    title="Nova compares the guest's CPU with the destination's",
    why="Without it, libvirt alone finds out, after the destination has been prepared.",
    remedy="[workarounds] skip_cpu_compare_on_dest = false, unless Nova's comparison is wrong here",
    since="Nova 25 (Yoga); libvirt compares since 4.4.0 with QEMU 2.9",
)
def cpu_compare(host: HostSubject) -> Result:
    facts = configured(host)
    saw = said(facts, "skip_cpu_compare_on_dest", "workarounds")
    if facts.configuration.value("skip_cpu_compare_on_dest", "workarounds"):
        return passed(f"{saw}: it is left to libvirt")
    return passed(saw)


@CHECKS.host(
    "nova.workarounds.version",
    title="guests do not move to older hypervisors",
    why="An older QEMU may not understand what a newer one sends, and in post-copy there is no way"
    " back.",
    remedy="[workarounds] skip_hypervisor_version_check_on_lm = false",
    fix="nova.service",
    since="Nova 25 (Yoga)",
)
def version_check(host: HostSubject) -> Result:
    return left_off(host, "skip_hypervisor_version_check_on_lm", "workarounds")


@CHECKS.host(
    "nova.rpc.unpinned",
    title="the version of messages between hosts is not pinned",
    why="A pin from an upgrade long ago keeps what newer hosts could tell each other from them.",
    remedy="[upgrade_levels] compute = auto, or take it out once all hosts have one release",
)
def unpinned(host: HostSubject) -> Result:
    facts = configured(host)
    saw = said(facts, "compute", "upgrade_levels")
    if facts.configuration.value("compute", "upgrade_levels") not in (None, "", "auto"):
        return warned(saw)
    return passed(saw)
