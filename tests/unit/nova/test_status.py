"""What looks mean: Nova's word and libvirt's, put together."""

from typing import Any

import pytest

from postcopy.migration.phase import Phase
from postcopy.nova.look import Look, Seen
from postcopy.nova.status import Verdict, judge

P = Phase


def look(
    said: str,
    *,
    host: str = "alpha",
    task: str | None = "migrating",
    own: bool = True,
    memory: int | None = 1 << 30,
    power: int = 1,
    **server: Any,
) -> Look:
    migration = {"id": 1, "status": said, "source_compute": "alpha", "dest_compute": "beta"}
    figures = {**migration, "memory_total_bytes": memory}
    shown = {
        "OS-EXT-SRV-ATTR:host": host,
        "OS-EXT-STS:task_state": task,
        "OS-EXT-STS:power_state": power,
        **server,
    }
    return Look(shown, migration, figures if own else None)


def seen(phase: Phase, **more: Any) -> Seen:
    return Seen(phase=phase, words="libvirt's words", **more)


def verdict(a_look: Look, a_seen: Seen | None = None) -> Verdict:
    return judge(a_look, "web1", "alpha", a_seen)


MOVING = {"memory_total": 1 << 30}
POSTCOPY = look("running (post-copy)", own=False)
LET_GO = look("running (post-copy)", own=False, task=None)


@pytest.mark.parametrize(
    ("a_look", "phase"),
    [
        (look("accepted", memory=None), P.SETUP),
        (look("queued", memory=None), P.SETUP),
        (look("preparing", memory=None), P.SETUP),
        (look("running", memory=None), P.SETUP),  # null at first
        (look("running"), P.PRECOPY),
        (POSTCOPY, P.POSTCOPY),
        (look("never heard of"), P.UNKNOWN),
        (look("completed", own=False), None),  # Nova is finishing
        (look("failed", own=False), None),  # Nova is rolling back
        (look("running (post-copy)", own=False, host="beta", task=None), P.COMPLETED),
        (look("completed", own=False, host="beta", task=None), P.COMPLETED),
        (look("failed", own=False, task=None), P.FAILED),
        (look("error", own=False, task=None), P.FAILED),
        (look("cancelled", own=False, task=None), P.CANCELLED),
        (Look(None, None, None), P.FAILED),
    ],
)
def test_novas_word_alone(a_look: Look, phase: Phase | None) -> None:
    assert verdict(a_look).phase is phase


@pytest.mark.parametrize(
    ("a_look", "a_seen", "phase"),
    [
        (look("running"), seen(P.PRECOPY, statistics=MOVING), P.PRECOPY),
        (look("running"), seen(P.PRECOPY), P.SETUP),  # disks first
        (look("preparing"), seen(P.SETUP), P.SETUP),
        (look("running"), seen(P.SETUP), None),
        # Nova has asked for a switch; that proves nothing.
        (POSTCOPY, seen(P.PRECOPY, statistics=MOVING), P.PRECOPY),
        (POSTCOPY, seen(P.SWITCHOVER), P.SWITCHOVER),
        (POSTCOPY, seen(P.POSTCOPY), P.POSTCOPY),
        # The switch is a fact before Nova says so.
        (look("running"), seen(P.POSTCOPY), P.POSTCOPY),
        (POSTCOPY, seen(P.PAUSED), P.PAUSED),
        (POSTCOPY, seen(P.UNKNOWN), None),
        (LET_GO, seen(P.POSTCOPY), P.POSTCOPY),
        (LET_GO, seen(P.PAUSED), P.PAUSED),
        (look("failed", task=None), seen(P.SETUP), P.FAILED),
        (look("cancelled", task=None), seen(P.PRECOPY), None),  # being called off
    ],
)
def test_libvirts_word_counts(a_look: Look, a_seen: Seen, phase: Phase | None) -> None:
    assert verdict(a_look, a_seen).phase is phase


def test_astray_is_believed_after_a_while() -> None:
    """The guest has arrived, and Nova has let go of it."""
    told = verdict(LET_GO, seen(P.COMPLETED))
    assert told.phase is P.ASTRAY
    assert told.after > 5
    assert "runs at beta" in told.error
    assert "do not start, reboot" in told.hint


def test_nova_is_given_time_to_finish() -> None:
    told = verdict(POSTCOPY, seen(P.COMPLETED))
    assert (told.phase, told.after > 60) == (P.ASTRAY, True)


def test_let_go_without_libvirt_cannot_be_told() -> None:
    told = verdict(LET_GO)
    assert told.phase is P.UNKNOWN
    assert "--source-uri" in told.hint


def test_interrupted_says_how_to_mend_it_and_what_not_to_do() -> None:
    told = verdict(POSTCOPY, seen(P.PAUSED))
    assert "postcopy recover web1" in told.hint
    assert "restart nova-compute on neither host" in told.hint


def test_a_crashed_guest_does_not_go_on_at_the_source() -> None:
    a_look = look("failed", own=False, task=None, power=6)
    told = verdict(a_look)
    assert told.phase is P.UNKNOWN
    assert "crashed" in told.error


def test_a_server_in_error_that_libvirt_sees_running() -> None:
    a_look = look("error", own=False, task=None, status="ERROR", fault={"message": "no disk"})
    assert verdict(a_look, seen(P.SETUP)).phase is P.FAILED
    assert verdict(a_look).phase is P.UNKNOWN
    assert verdict(a_look).error == "no disk"


def test_disks_are_told_while_they_are_copied() -> None:
    a_look = look("running", memory=0)
    assert a_look.own is not None
    own = {**a_look.own, "disk_total_bytes": 1000, "disk_remaining_bytes": 250}
    told = verdict(Look(a_look.server, a_look.migration, own))
    assert (told.phase, told.status) == (P.SETUP, "running: copying disks, 75 % done")
