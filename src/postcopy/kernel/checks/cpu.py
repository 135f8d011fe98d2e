"""Whether the processors of two hosts are the same to a guest."""

from postcopy.kernel.checks.catalogue import CHECKS
from postcopy.kernel.facts import KernelFacts
from postcopy.readiness import HostSubject, PairSubject, Result, failed, passed, skipped, warned

_SHOWN = 6
_VIRTUALIZATION = frozenset({"vmx", "svm"})


@CHECKS.host(
    "kernel.kvm.present",
    title="there is a /dev/kvm",
    why="Without KVM guests are emulated, twenty times slower; whether it works is another check.",
    remedy="modprobe kvm_intel || modprobe kvm_amd; is virtualization switched on in the firmware?",
)
def kvm(host: HostSubject) -> Result:
    facts = host.facts.of(KernelFacts)
    if facts.kvm.exists:
        return passed("/dev/kvm is there")
    if facts.machine == "x86_64" and not facts.cpu_flags & _VIRTUALIZATION:
        return warned("there is no /dev/kvm, and the processor offers neither vmx nor svm")
    return warned("there is no /dev/kvm")


@CHECKS.pair(
    "kernel.cpu.machine",
    title="both hosts are of one architecture",
    why="A running guest cannot go on with another instruction set.",
    remedy="choose a destination of the source's architecture: uname -m",
)
def machine(pair: PairSubject) -> Result:
    source = pair.source.facts.of(KernelFacts).machine
    destination = pair.destination.facts.of(KernelFacts).machine
    if not source or not destination:
        return skipped("one of them does not tell")
    return (passed if source == destination else failed)(f"{source} and {destination}")


@CHECKS.pair(
    "kernel.cpu.vendor",
    title="both processors are of one vendor",
    why="Between vendors only guests with a lowest common CPU model move, and few keep running.",
    remedy="choose a destination of the source's vendor: lscpu",
)
def vendor(pair: PairSubject) -> Result:
    source, destination = (h.facts.of(KernelFacts) for h in (pair.source, pair.destination))
    if not source.cpu_vendor or not destination.cpu_vendor:
        return skipped("one of them does not tell")
    saw = f"{source.cpu_model or source.cpu_vendor} and"
    saw += f" {destination.cpu_model or destination.cpu_vendor}"
    return (passed if source.cpu_vendor == destination.cpu_vendor else warned)(saw)


@CHECKS.pair(
    "kernel.cpu.features",
    title="the destination's processor can do what the source's can",
    why="A guest with the CPU host-passthrough that uses a feature which is not there dies at the"
    " first instruction of it, after the switch.",
    remedy="give guests a named CPU model that both have: virsh hypervisor-cpu-baseline",
)
def features(pair: PairSubject) -> Result:
    source, destination = (h.facts.of(KernelFacts) for h in (pair.source, pair.destination))
    if not source.cpu_flags or not destination.cpu_flags:
        return skipped("one of them does not tell")
    lacking = sorted(source.cpu_flags - destination.cpu_flags)
    if not lacking:
        return passed(f"it has all {len(source.cpu_flags)} features")
    shown = ", ".join(lacking[:_SHOWN]) + (", ..." if len(lacking) > _SHOWN else "")
    return warned(f"it lacks {len(lacking)}: {shown}")
