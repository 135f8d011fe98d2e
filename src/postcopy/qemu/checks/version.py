"""Which QEMU there is, and what that version is known to get wrong."""

from postcopy import known_issues
from postcopy.kernel.facts import KernelFacts
from postcopy.qemu.checks.catalogue import CHECKS, OPENS_DEVICE, asked
from postcopy.qemu.facts import QemuFacts
from postcopy.readiness import HostSubject, Result, failed, passed, skipped, warned


@CHECKS.host(
    "qemu.installed",
    title="there is a QEMU for this machine",
    why="Without one no guest runs here.",
    remedy="apt-get install qemu-system-x86",
)
def installed(host: HostSubject) -> Result:
    facts = host.facts.of(QemuFacts)
    if facts.binary is None:
        return failed(f"there is no qemu-system-{facts.machine} and no qemu-kvm")
    return passed(f"{facts.binary}, {facts.version_text}")


@CHECKS.host(
    "qemu.answers",
    title="QEMU starts as the user that libvirt runs it as",
    why="A QEMU that does not start as its user cannot take a guest in.",
    remedy="runuser -u libvirt-qemu -- qemu-system-x86_64 -machine none -display none -S",
)
def answers(host: HostSubject) -> Result:
    facts = host.facts.of(QemuFacts)
    if facts.binary is None:
        return skipped("no QEMU is installed")
    if facts.error:
        return failed(f"as {facts.account}: {facts.error}")
    return passed(f"it starts as {facts.account}")


@CHECKS.host(
    "qemu.sandbox",
    title="QEMU starts in libvirt's sandbox",
    why="libvirt forbids QEMU the system calls that it does not need, unless it is told otherwise.",
    remedy="install a QEMU that is built with seccomp, or set seccomp_sandbox = 0 in qemu.conf",
)
def sandbox(host: HostSubject) -> Result:
    facts = asked(host)
    return warned(facts.sandbox_error) if facts.sandbox_error else passed("it does")


@CHECKS.host(
    "qemu.version.postcopy",
    title="QEMU can recover an interrupted post-copy",
    why="Before 3.0 a cut link in post-copy is the end of the guest.",
    remedy="upgrade QEMU to 9.0 or newer",
    since="QEMU 2.6 for post-copy, QEMU 3.0 for recovery",
)
def recovery(host: HostSubject) -> Result:
    facts = asked(host)
    needed = ("migrate-start-postcopy", "migrate-recover", "migrate-pause")
    lacking = [command for command in needed if command not in facts.commands]
    if "migrate-start-postcopy" in lacking:
        return failed(f"QEMU {facts.version_text} has no post-copy")
    if lacking:
        return failed(f"QEMU {facts.version_text} has no {' and no '.join(lacking)}")
    return passed(f"QEMU {facts.version_text} has {', '.join(needed)}")


@CHECKS.host(
    "qemu.version.device",
    title="this QEMU can use /dev/userfaultfd",
    why="Before 8.0 QEMU knows the system call alone, so access to the device does not help it.",
    remedy="sysctl -w vm.unprivileged_userfaultfd=1, or upgrade QEMU to 8.0",
    fix="kernel.userfaultfd",
    since="QEMU 8.0",
)
def device(host: HostSubject) -> Result:
    facts = asked(host)
    proof = host.facts.of(KernelFacts).proof_as_qemu
    if facts.version is None or proof is None or proof.error:
        return skipped("userfaultfd was not tried")
    if not proof.permitted:
        return skipped("neither the device nor the system call is permitted")
    if not proof.syscall:
        return passed("the system call is permitted too")
    if facts.version < OPENS_DEVICE:
        return failed(f"QEMU {facts.version_text} does not know the device, the only way permitted")
    return passed(f"QEMU {facts.version_text} opens the device")


# Tried by `qemu.postcopy.multifd`, and looked at by the pair.
_OF_THEIR_OWN = ("multifd-postcopy-loss", "multifd-postcopy", "preempt-unequal")


def _list_known_issues() -> None:
    """List a check for each entry of the table that has none of its own."""
    for known in known_issues.KNOWN_ISSUES:
        if known.component == "qemu" and known.id not in _OF_THEIR_OWN:
            _list_known(known)


def _list_known(known: known_issues.KnownIssue) -> None:
    @CHECKS.host(
        f"qemu.issue.{known.id}",
        title=f"QEMU is free of {known.id}",
        why=f"{known.what[0].upper()}{known.what[1:]}.",
        remedy=known.remedy,
        since=f"lifted in QEMU {'.'.join(map(str, known.lifted))}" if known.lifted else "",
    )
    def free(host: HostSubject) -> Result:
        facts = asked(host)
        if facts.version is None:
            return skipped("QEMU does not tell its version")
        saw = f"QEMU is {facts.version_text}"
        if not known.affects(facts.version, known.accelerator):
            return passed(saw)
        if known.accelerator is not None:
            saw += f"; it concerns guests under {known.accelerator.upper()}"
            if facts.kvm is not None and not facts.kvm.error:
                return passed(f"{saw}, and KVM works here")
            if facts.kvm is None:
                return skipped(f"{saw}, and whether KVM works was not tried")
        return warned(saw)


_list_known_issues()
