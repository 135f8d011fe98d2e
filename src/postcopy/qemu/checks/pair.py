"""Whether two QEMUs understand each other."""

from postcopy import known_issues
from postcopy.qemu.checks.catalogue import CHECKS, asked
from postcopy.qemu.facts import QemuFacts
from postcopy.readiness import MissingFacts, PairSubject, Result, failed, passed, skipped, warned

_TELLING = ("postcopy-ram", "postcopy-preempt", "postcopy-blocktime", "events", "return-path")


@CHECKS.pair(
    "qemu.pair.version",
    title="the destination's QEMU is not older than the source's",
    why="QEMU takes guests in from older versions; from newer ones a guest may fail to load, and in"
    " post-copy that is after the switch.",
    remedy="upgrade the destination first",
)
def version(pair: PairSubject) -> Result:
    source, destination = _versions(pair)
    saw = f"{_text(source)} on the source, {_text(destination)} on the destination"
    if destination[:2] < source[:2]:
        return warned(saw)
    return passed(saw)


@CHECKS.pair(
    "qemu.pair.preempt",
    title="both QEMUs make the second connection of post-copy at the same time",
    why="Between unequal versions of which one is 7.x, a post-copy with postcopy-preempt does not"
    " get beyond the switch.",
    remedy="upgrade both to 8.0 or newer, or migrate without postcopy-preempt",
    since="QEMU 7.0 to 7.2",
)
def preempt(pair: PairSubject) -> Result:
    source, destination = _versions(pair)
    known = known_issues.issue("preempt-unequal")
    saw = f"{_text(source)} and {_text(destination)}"
    if source[:2] != destination[:2] and (known.affects(source) or known.affects(destination)):
        return warned(saw)
    return passed(saw)


@CHECKS.pair(
    "qemu.pair.capabilities",
    title="both QEMUs offer the same help in post-copy",
    why="What one side lacks is left off on both.",
    remedy="upgrade the older QEMU",
)
def capabilities(pair: PairSubject) -> Result:
    source, destination = _asked(pair)
    lacking = [
        f"{host} lacks {', '.join(names)}"
        for host, facts, other in (
            (pair.source, source, destination),
            (pair.destination, destination, source),
        )
        if (names := [n for n in _TELLING if n in other.capabilities - facts.capabilities])
    ]
    if lacking:
        return warned("; ".join(lacking))
    common = [n for n in _TELLING if n in source.capabilities & destination.capabilities]
    return passed(f"both offer {', '.join(common)}")


@CHECKS.pair(
    "qemu.pair.machines",
    title="the destination knows the source's machine types",
    why="A guest goes on only on the very machine that it was started on.",
    remedy="start guests with a machine type that both know: <type machine='...'> in their XML",
)
def machines(pair: PairSubject) -> Result:
    source, destination = _asked(pair)
    if not source.machines or not destination.machines:
        return skipped("one of them does not tell")
    newest = sorted({m for m in (source.default_machine, *source.aliases.values()) if m})
    lacking = [name for name in newest if name not in destination.machines]
    if lacking:
        return warned(f"the destination lacks {', '.join(lacking)}, what new guests are started on")
    return passed(f"it knows {', '.join(newest) or f'all {len(source.machines)}'}")


@CHECKS.pair(
    "qemu.pair.firmware",
    title="the destination has the source's firmware",
    why="A guest with UEFI does not start where its firmware is not installed.",
    remedy="apt-get install ovmf",
)
def firmware(pair: PairSubject) -> Result:
    source, destination = _asked(pair)
    lacking = sorted(source.firmware - destination.firmware)
    if lacking:
        return warned(f"the destination lacks {', '.join(lacking[:4])}")
    return passed(f"it has all {len(source.firmware)} descriptors")


@CHECKS.pair(
    "qemu.pair.kvm",
    title="KVM works on both hosts or on neither",
    why="A guest under KVM cannot go on without it.",
    remedy="choose a destination where qemu.kvm.boots passes",
    proof="kvm",
)
def kvm(pair: PairSubject) -> Result:
    source, destination = (facts.kvm for facts in _asked(pair))
    if source is None or destination is None:
        return skipped("it was not tried on both")
    if not source.error and destination.error:
        return failed(f"it works on {pair.source}; on {pair.destination}: {destination.error}")
    return passed("it works on neither" if source.error else "it works on both")


def _asked(pair: PairSubject) -> tuple[QemuFacts, QemuFacts]:
    return asked(pair.source), asked(pair.destination)


def _versions(pair: PairSubject) -> tuple[known_issues.Version, known_issues.Version]:
    source, destination = (facts.version for facts in _asked(pair))
    if source is None or destination is None:
        raise MissingFacts("one of them does not tell its version")
    return source, destination


def _text(number: known_issues.Version) -> str:
    return "QEMU " + ".".join(map(str, number))
