"""What was tried with this QEMU, and how it went."""

from postcopy import known_issues
from postcopy.kernel.facts import KernelFacts
from postcopy.qemu.checks.catalogue import CHECKS, asked
from postcopy.readiness import HostSubject, Result, failed, passed, skipped, warned
from postcopy.units import format_seconds


@CHECKS.host(
    "qemu.kvm.boots",
    title="a guest boots under KVM",
    why="A /dev/kvm that is there may be of no use, in a virtual machine for example; guests would"
    " hang, or be emulated twenty times slower.",
    remedy="switch virtualization on: in the firmware, or nested in the hypervisor below",
    proof="kvm",
)
def kvm(host: HostSubject) -> Result:
    facts = asked(host)
    proof = facts.kvm
    kernel = host.facts.find(KernelFacts)
    if kernel is not None and not kernel.kvm.exists:
        return skipped("there is no /dev/kvm")
    if proof is None:
        return skipped(f"there is no such proof for {facts.machine}")
    if not proof.error:
        return passed(f"one did, as {facts.account}, in {format_seconds(proof.seconds)}")
    if "isa-debug" in proof.error:
        return skipped(f"this QEMU lacks a device for the proof: {proof.error}")
    return warned(f"as {facts.account}: {proof.error}")


@CHECKS.host(
    "qemu.postcopy.works",
    title="a guest moves by post-copy from this host to itself",
    why="Everything that post-copy needs of one host is in this: kernel, permission, QEMU, memory.",
    remedy="postcopy check --only 'kernel.userfaultfd.*,qemu.*' says what stands in the way",
    proof="self-migration",
)
def works(host: HostSubject) -> Result:
    facts = asked(host)
    moved = facts.moved
    if moved is None:
        return skipped(f"there is no such proof for {facts.machine}")
    if facts.accepts.get("postcopy-ram"):
        return skipped("post-copy is not accepted in the first place")
    if "isa-debug" in moved.error:
        return skipped(f"this QEMU lacks a device for the proof: {moved.error}")
    if moved.error or moved.status != "completed":
        return failed(f"as {facts.account}: {moved.error or moved.status}")
    if moved.wrong:
        return _wrong(facts.version, moved.wrong)
    if not moved.postcopy:
        return warned("the guest had moved before the switch to post-copy")
    return passed(
        f"32 MiB in {format_seconds(moved.seconds)}, {moved.requests} pages asked for, and every"
        f" page right in {moved.rounds} rounds of writing"
    )


def _wrong(version: known_issues.Version | None, pages: int) -> Result:
    known = known_issues.issue("tcg-memory-corruption")
    saw = f"{pages} pages of the guest did not hold what it had written"
    if version is not None and known.affects(version, "tcg"):
        return failed(f"{saw}: {known.what}; {known.remedy}")
    return failed(saw, "move no guest with this QEMU, and report this")
