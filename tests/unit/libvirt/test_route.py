"""Which way a domain is recovered: by versions, second monitors, a way in, and a hung QEMU."""

from dataclasses import replace
from typing import NamedTuple

import pytest

from postcopy.libvirt.route import Reach, Situation, choose

OLD, BOOKWORM, BEFORE, CRASHES, TRIXIE, AFTER, SID = (
    (8, 4, 0), (9, 0, 0), (11, 1, 0), (11, 2, 0), (11, 3, 0), (11, 4, 0), (12, 8, 0),
)  # fmt: skip

THROUGH_AND_SECOND = (Reach.THROUGH, Reach.SECOND)
THROUGH_AND_BORROWED = (Reach.THROUGH, Reach.BORROWED)
SECOND_AND_SECOND = (Reach.SECOND, Reach.SECOND)
LIBVIRT = None
NOTHING = (Reach.THROUGH, None)


class Case(NamedTuple):
    """A row: libvirt at both hosts, second monitors there, a way in; how, and what is told."""

    source: tuple[int, int, int]
    destination: tuple[int, int, int]
    monitors: str
    way: bool
    expected: tuple[Reach, Reach | None] | None
    told: str = ""
    hung: bool = False
    able_to_cut: bool = True


TABLE = [
    # Where libvirt's resume works, it is taken, whatever else there is.
    Case(BOOKWORM, BOOKWORM, "both", True, LIBVIRT),
    Case(BOOKWORM, BOOKWORM, "none", True, LIBVIRT),
    Case(BOOKWORM, BOOKWORM, "none", False, LIBVIRT, "could make the destination notice"),
    Case(SID, SID, "none", True, LIBVIRT),
    Case(BEFORE, BEFORE, "none", True, LIBVIRT),
    Case(AFTER, AFTER, "none", True, LIBVIRT),
    # It is the destination's daemon that crashes.
    Case(TRIXIE, BOOKWORM, "none", True, LIBVIRT),
    Case(TRIXIE, SID, "none", True, LIBVIRT),
    Case(BOOKWORM, TRIXIE, "both", True, SECOND_AND_SECOND),
    Case(BOOKWORM, TRIXIE, "destination", True, THROUGH_AND_SECOND),
    Case(BOOKWORM, TRIXIE, "none", True, THROUGH_AND_BORROWED),
    Case(BOOKWORM, TRIXIE, "none", False, NOTHING, "11.3.0 at the destination crashes"),
    Case(SID, CRASHES, "none", True, THROUGH_AND_BORROWED),
    Case(TRIXIE, TRIXIE, "both", False, SECOND_AND_SECOND),
    Case(TRIXIE, TRIXIE, "source", True, (Reach.SECOND, Reach.BORROWED)),
    Case(TRIXIE, TRIXIE, "none", False, NOTHING, "--dest-host"),
    # Before 8.5 libvirt has no resume, and a daemon started again gives such guests up.
    Case(OLD, OLD, "both", True, SECOND_AND_SECOND),
    Case(OLD, OLD, "none", True, NOTHING, "cannot resume"),
    Case(OLD, BOOKWORM, "none", True, THROUGH_AND_BORROWED),
    # A QEMU that hangs hears nothing but a second monitor; no resume is sent to it.
    Case(BOOKWORM, BOOKWORM, "both", True, SECOND_AND_SECOND, hung=True),
    Case(SID, SID, "destination", True, THROUGH_AND_SECOND, hung=True),
    Case(SID, SID, "none", True, NOTHING, "hangs", hung=True),
    Case(TRIXIE, TRIXIE, "none", True, NOTHING, "hangs", hung=True),
    # A kernel that closes nobody's connections leaves a monitor of its own, or libvirt's.
    Case(SID, SID, "none", True, LIBVIRT, able_to_cut=False),
    Case(SID, OLD, "none", True, NOTHING, "cannot resume", able_to_cut=False),
    Case(SID, SID, "destination", True, LIBVIRT, able_to_cut=False),
]


@pytest.mark.parametrize("case", TABLE)
def test_the_way_follows_from_what_both_hosts_have(case: Case) -> None:
    route = choose(
        Situation(
            source=case.source,
            destination=case.destination,
            source_monitor=case.monitors in ("source", "both"),
            destination_monitor=case.monitors in ("destination", "both"),
            destination_way=case.way,
            able_to_cut=case.way and case.able_to_cut,
            hung=case.hung,
        )
    )
    assert route.resume is (case.expected is None)
    if case.expected is not None:
        assert (route.source, route.destination) == case.expected
    assert bool(route.obstacle) is bool(case.told)
    assert case.told in route.obstacle


def test_a_version_that_is_not_known_yet_is_no_reason_to_go_past_libvirt() -> None:
    assert choose(Situation(destination_way=True, able_to_cut=True)).resume


def test_the_way_is_told_in_words() -> None:
    trixie = Situation(source=TRIXIE, destination=TRIXIE)
    assert str(choose(Situation(source=BOOKWORM, destination=BOOKWORM))) == "libvirt resumes it"
    borrowed = choose(replace(trixie, destination_way=True, able_to_cut=True))
    assert "qemu-monitor-command at the source" in str(borrowed)
    assert "while its daemon restarts" in str(borrowed)
    assert str(choose(trixie)) == "no way past libvirt"
