"""Whether QEMU may have a guest's page faults, and whether they are resolved, and how fast."""

from collections.abc import Callable

from postcopy.kernel.checks.catalogue import CHECKS
from postcopy.kernel.facts import KernelFacts, UserfaultfdProof
from postcopy.kernel.userfaultfd import (
    UFFD_FEATURE_MISSING_HUGETLBFS,
    UFFD_FEATURE_MISSING_SHMEM,
    UFFD_FEATURE_THREAD_ID,
)
from postcopy.readiness import HostSubject, Result, failed, passed, skipped, warned
from postcopy.units import format_seconds

_FIX = "kernel.userfaultfd"
_MOST_P50_SECONDS, _MOST_P99_SECONDS = 0.001, 0.02
"""On one host a fault takes microseconds; what is more is waiting for a processor."""

_SYSCTL = "sysctl -w vm.unprivileged_userfaultfd=1"
_HAVE_ONE = "boot a kernel that is built with CONFIG_USERFAULTFD=y, as every distribution's is"


@CHECKS.host(
    "kernel.userfaultfd.built",
    title="the kernel has userfaultfd",
    why="Post-copy is userfaultfd: without it a guest cannot run while its memory is elsewhere.",
    remedy=_HAVE_ONE,
    since="Linux 4.3",
)
def built(host: HostSubject) -> Result:
    facts = host.facts.of(KernelFacts)
    proof = facts.proof
    if proof is not None and "ENOSYS" in (proof.syscall, proof.user_mode_only):
        return failed(f"Linux {facts.release} answers userfaultfd(2) with ENOSYS")
    if proof is not None and proof.permitted:
        return passed(f"Linux {facts.release} hands out descriptors")
    said = facts.config.get("USERFAULTFD")
    if said == "n":
        return failed(f"CONFIG_USERFAULTFD is not set in {facts.config.get('from')}")
    if said or facts.unprivileged is not None or facts.device.exists:
        return passed(f"Linux {facts.release} is built with it")
    return skipped("neither a try nor the kernel's configuration tells")


@CHECKS.host(
    "kernel.userfaultfd.permitted",
    title="QEMU's user may use userfaultfd",
    why='This is the usual reason of "Postcopy is not supported": the default since Linux 5.11 is'
    " that only root may have the faults that KVM takes.",
    remedy=_SYSCTL,
    fix=_FIX,
    since="Linux 5.11 for the default, Linux 6.1 for /dev/userfaultfd",
    proof="userfaultfd",
)
def permitted(host: HostSubject) -> Result:
    facts, proof = _as_qemu(host)
    whom = str(facts.account or "QEMU's user")
    if proof.error:
        return skipped(f"it could not be tried as {whom}: {proof.error}")
    if proof.permitted:
        ways = {"/dev/userfaultfd": proof.device, "userfaultfd(2)": proof.syscall}
        return passed(
            f"{whom} has it by {' and '.join(w for w, error in ways.items() if not error)}"
        )
    saw = f"as {whom}: userfaultfd(2) says {proof.syscall}, /dev/userfaultfd {proof.device}"
    return failed(f"{saw}; vm.unprivileged_userfaultfd is {facts.unprivileged}")


@CHECKS.host(
    "kernel.userfaultfd.persistent",
    title="the permission outlives a boot",
    why="What was permitted by hand is gone after the next boot, and post-copy with it.",
    remedy="echo vm.unprivileged_userfaultfd=1 > /etc/sysctl.d/60-postcopy.conf",
    fix=_FIX,
)
def persistent(host: HostSubject) -> Result:
    facts = host.facts.of(KernelFacts)
    if facts.account is not None and facts.account.uid == 0:
        return skipped("QEMU runs as root, to whom the device belongs after every boot")
    if facts.unprivileged != 1 and (facts.device.mode or 0o600) & 0o066 == 0:
        return skipped("nothing is permitted now")
    if facts.unprivileged == 1:
        places = [path for path, lines in facts.sysctl_lines.items() if _sets_to_one(lines)]
        if places:
            return passed(f"vm.unprivileged_userfaultfd=1 is in {places[0]}")
    elif facts.udev_lines:
        return passed(f"a udev rule is in {next(iter(facts.udev_lines))}")
    return warned("no file under sysctl.d or udev/rules.d says what is permitted now")


@CHECKS.host(
    "kernel.userfaultfd.missing",
    title="a missing page is waited for and comes",
    why="This is what every page does that the guest touches before it was sent.",
    remedy=_HAVE_ONE,
    since="Linux 4.3",
    proof="userfaultfd",
)
def missing(host: HostSubject) -> Result:
    return _mode(host, "missing", failed)


@CHECKS.host(
    "kernel.userfaultfd.write-protect",
    title="writes to a page can be waited for",
    why="Background snapshots of a guest need it; post-copy itself does not.",
    remedy="boot Linux 5.7 or newer",
    since="Linux 5.7",
    proof="userfaultfd",
)
def write_protect(host: HostSubject) -> Result:
    return _mode(host, "write-protect", warned)


@CHECKS.host(
    "kernel.userfaultfd.minor",
    title="a page that is there can be waited for",
    why="Post-copy within huge pages is being built on it; today's QEMU does without.",
    remedy="boot Linux 5.14 or newer",
    since="Linux 5.14",
    proof="userfaultfd",
)
def minor(host: HostSubject) -> Result:
    return _mode(host, "minor", warned)


@CHECKS.host(
    "kernel.userfaultfd.latency",
    title="page faults are resolved at once",
    why="A guest in post-copy stands still for each page that it waits for.",
    remedy="free the host's processors: see uptime, and top -H",
    proof="userfaultfd",
)
def latency(host: HostSubject) -> Result:
    _, proof = _as_any(host)
    if proof.p50_seconds is None or proof.p99_seconds is None:
        return skipped("no fault was resolved")
    saw = f"half within {_short(proof.p50_seconds)}, 99 of 100 within {_short(proof.p99_seconds)}"
    slow = proof.p50_seconds > _MOST_P50_SECONDS or proof.p99_seconds > _MOST_P99_SECONDS
    return warned(saw) if slow else passed(saw)


@CHECKS.host(
    "kernel.userfaultfd.shared",
    title="shared memory can be waited for",
    why="Guests with vhost-user or virtiofs have their memory shared, and QEMU refuses post-copy"
    " for them without this.",
    remedy="boot Linux 4.11 or newer",
    since="Linux 4.11",
    proof="userfaultfd",
)
def shared(host: HostSubject) -> Result:
    return _feature(host, UFFD_FEATURE_MISSING_SHMEM, "UFFD_FEATURE_MISSING_SHMEM")


@CHECKS.host(
    "kernel.userfaultfd.huge",
    title="huge pages can be waited for",
    why="QEMU refuses post-copy of a guest with huge pages without this.",
    remedy="boot Linux 4.11 or newer",
    since="Linux 4.11",
    proof="userfaultfd",
)
def huge(host: HostSubject) -> Result:
    return _feature(host, UFFD_FEATURE_MISSING_HUGETLBFS, "UFFD_FEATURE_MISSING_HUGETLBFS")


@CHECKS.host(
    "kernel.userfaultfd.thread",
    title="the kernel says which thread waits",
    why="Without it nobody learns how long each vCPU stood still (postcopy-blocktime).",
    remedy="boot Linux 4.14 or newer",
    since="Linux 4.14",
    proof="userfaultfd",
)
def thread(host: HostSubject) -> Result:
    return _feature(host, UFFD_FEATURE_THREAD_ID, "UFFD_FEATURE_THREAD_ID")


def _as_qemu(host: HostSubject) -> tuple[KernelFacts, UserfaultfdProof]:
    facts = host.facts.of(KernelFacts)
    return facts, facts.proof_as_qemu or UserfaultfdProof(error="the probe did not try")


def _as_any(host: HostSubject) -> tuple[KernelFacts, UserfaultfdProof]:
    """Return what came of trying as whoever got furthest: the kernel is the same for all."""
    facts = host.facts.of(KernelFacts)
    tries = [proof for proof in (facts.proof_as_qemu, facts.proof) if proof is not None]
    tries.sort(key=lambda proof: (bool(proof.error), not proof.features))
    return facts, tries[0] if tries else UserfaultfdProof(error="the probe did not try")


def _mode(host: HostSubject, name: str, wrong: Callable[[str], Result]) -> Result:
    _, proof = _as_any(host)
    if name not in proof.modes:
        return skipped(proof.error or "nobody that the probe can be was permitted to try")
    error = proof.modes[name]
    return wrong(f"a fault was not resolved: {error}") if error else passed("a fault was resolved")


def _feature(host: HostSubject, bit: int, name: str) -> Result:
    facts, proof = _as_any(host)
    if not proof.modes:
        return skipped(proof.error or "nobody that the probe can be was permitted to try")
    if proof.features & bit:
        return passed(f"the kernel has {name}")
    return warned(f"Linux {facts.release} lacks {name}")


def _sets_to_one(lines: tuple[str, ...]) -> bool:
    return any(line.replace(" ", "").endswith("unprivileged_userfaultfd=1") for line in lines)


def _short(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} us" if seconds < 0.001 else format_seconds(seconds)
