"""What this QEMU can do in a migration, asked of it and tried on it."""

from postcopy.kernel.facts import KernelFacts
from postcopy.qemu.checks.catalogue import CHECKS, OPENS_DEVICE, asked
from postcopy.qemu.facts import QemuFacts
from postcopy.readiness import HostSubject, Result, failed, passed, skipped, warned


@CHECKS.host(
    "qemu.postcopy.accepted",
    title="QEMU takes a guest in by post-copy, as the user that libvirt runs it as",
    why='This is what a migration asks first; "Postcopy is not supported" is the answer of a'
    " destination that may not use userfaultfd.",
    remedy="sysctl -w vm.unprivileged_userfaultfd=1",
    fix="kernel.userfaultfd",
    since="QEMU 2.6",
)
def accepted(host: HostSubject) -> Result:
    facts = asked(host)
    error = facts.accepts.get("postcopy-ram")
    if error is None:
        return failed(f"QEMU {facts.version_text} was not asked")
    if error:
        if cause := _cause(host, facts):
            return skipped(f"it is not ({error}): see {cause}")
        return failed(f"QEMU {facts.version_text} as {facts.account} says: {error}")
    return passed(f"QEMU {facts.version_text} as {facts.account} accepted postcopy-ram")


def _cause(host: HostSubject, facts: QemuFacts) -> str:
    """Return the check that says why post-copy is not accepted; empty where none of them does."""
    kernel = host.facts.find(KernelFacts)
    proof = kernel.proof_as_qemu if kernel else None
    if proof is None or proof.error:
        return ""
    if not proof.permitted:
        return "kernel.userfaultfd.permitted"
    old = facts.version is not None and facts.version < OPENS_DEVICE
    return "qemu.version.device" if old and proof.syscall else ""


@CHECKS.host(
    "qemu.postcopy.preempt",
    title="pages that the guest waits for overtake the others",
    why="Without postcopy-preempt a requested page queues behind those being sent: ten milliseconds"
    " instead of one half, and the longest freeze three times as long.",
    remedy="upgrade QEMU to 8.0 or newer",
    since="QEMU 7.1",
)
def preempt(host: HostSubject) -> Result:
    return _capability(host, "postcopy-preempt")


@CHECKS.host(
    "qemu.postcopy.blocktime",
    title="QEMU counts how long each vCPU stood still",
    why="Without postcopy-blocktime nobody can tell what a post-copy cost the guest.",
    remedy="upgrade QEMU to 3.0 or newer",
    since="QEMU 3.0",
)
def blocktime(host: HostSubject) -> Result:
    return _capability(host, "postcopy-blocktime")


@CHECKS.host(
    "qemu.postcopy.multifd",
    title="several connections and post-copy go together",
    why="One connection seldom fills a link of more than 25 Gb/s; older versions refuse the"
    " combination, or take it and lose the guest.",
    remedy="leave multifd out (virsh --parallel, Nova's live_migration_parallel_connections)",
    since="QEMU 10.1",
)
def multifd(host: HostSubject) -> Result:
    facts = asked(host)
    error = facts.accepts.get("multifd")
    if facts.accepts.get("postcopy-ram") or error is None:
        return skipped("post-copy itself is not accepted")
    if error:
        return passed(f"QEMU {facts.version_text} refuses it, so nothing is lost: {error}")
    if facts.version is not None and facts.version < (10, 1, 0):
        return warned(f"QEMU {facts.version_text} takes both, and loses the guest")
    return passed(f"QEMU {facts.version_text} takes both")


@CHECKS.host(
    "qemu.monitor.oob",
    title="QEMU's monitor answers when a vCPU hangs",
    why="A vCPU that waits for a page can hold QEMU's lock; only commands out of band get through"
    " then, and without them such a guest cannot be recovered.",
    remedy="upgrade QEMU to 3.0 or newer",
    since="QEMU 3.0",
)
def oob(host: HostSubject) -> Result:
    facts = asked(host)
    if facts.oob:
        return passed("the monitor offers oob")
    return warned(f"the monitor of QEMU {facts.version_text} does not offer oob")


@CHECKS.host(
    "qemu.capability.events",
    title="QEMU says when a pass ends",
    why="The end of a pass is the best moment to switch, and polling comes too late for it.",
    remedy="upgrade QEMU to 2.4 or newer",
    since="QEMU 2.4",
)
def events(host: HostSubject) -> Result:
    return _known(host, "events")


@CHECKS.host(
    "qemu.capability.return-path",
    title="QEMU's destination can answer its source",
    why="With a return path the source knows that the guest has arrived, and need not guess.",
    remedy="upgrade QEMU to 4.0 or newer",
    since="QEMU 4.0",
)
def return_path(host: HostSubject) -> Result:
    return _known(host, "return-path")


def _known(host: HostSubject, name: str) -> Result:
    facts = asked(host)
    if name in facts.capabilities:
        return passed(f"QEMU {facts.version_text} knows {name}")
    return warned(f"QEMU {facts.version_text} does not know {name}")


def _capability(host: HostSubject, name: str) -> Result:
    facts = asked(host)
    if name not in facts.capabilities:
        return warned(f"QEMU {facts.version_text} does not know {name}")
    if facts.accepts.get("postcopy-ram"):
        return skipped("post-copy itself is not accepted")
    if error := facts.accepts.get(name):
        return warned(f"QEMU {facts.version_text} says: {error}")
    return passed(f"QEMU {facts.version_text} accepted {name}")
