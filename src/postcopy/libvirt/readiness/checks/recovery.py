"""What recovery of a guest would take, should its link break in post-copy."""

from postcopy.libvirt.monitor import monitor_of
from postcopy.libvirt.readiness.checks.catalogue import CHECKS, answering
from postcopy.libvirt.readiness.checks.guest import guest_of
from postcopy.libvirt.route import Situation, choose
from postcopy.readiness import GuestSubject, Result, passed, warned

__all__: list[str] = []


@CHECKS.guest(
    "libvirt.guest.recovery",
    title="a broken link in post-copy can be recovered from without a hand",
    why="A destination that does not notice the cut, or hangs, or whose libvirt crashes, is reached"
    " past libvirt: over a second monitor, or from inside its host.",
    remedy="postcopy guest prepare GUEST gives it a second monitor; or give `postcopy migrate` a"
    " way into the destination's host: --dest-host, or a qemu+ssh URI",
)
def recovery(guest: GuestSubject) -> Result:
    here, there = answering(guest.pair.source).version, answering(guest.pair.destination).version
    if monitor_of(guest_of(guest).xml) is not None:
        return passed("it has a second monitor")
    saw = "it has no second monitor: recovery takes a way into the destination's host"
    if choose(Situation(source=here, destination=there)).resume:
        return passed(saw)
    return warned(f"{saw}, since libvirt's own does not work between these hosts")
