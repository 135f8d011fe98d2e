"""Which QEMU of a guest may be ended: never one that anything of the guest depends on."""

import pytest

from postcopy.lab.guest import not_needed
from postcopy.lab.side import SideState

HERE, THERE = "alpha", "beta"


@pytest.mark.parametrize(
    ("source", "destination", "ended"),
    [
        (SideState("postmigrate", "completed"), SideState("running", "completed"), [HERE]),
        (SideState("postmigrate", "postcopy-paused"), SideState("running", "completed"), [HERE]),
        (SideState("paused", "postcopy-paused"), SideState("running", "completed"), [HERE]),
        (SideState("running", "failed"), SideState("inmigrate", "none"), [THERE]),
        (SideState("running", "failed"), SideState("inmigrate", "active"), [THERE]),
        (SideState("running", "none"), None, []),
        (SideState("running", "active"), SideState("inmigrate", "active"), []),
        (SideState("running", "setup"), SideState("inmigrate", "none"), []),
        (SideState("running", "none"), SideState("inmigrate", "none"), [THERE]),
        (SideState("finish-migrate", "device"), SideState("inmigrate", "active"), []),
        (SideState("postmigrate", "postcopy-active"), SideState("running", "postcopy-active"), []),
        (SideState("postmigrate", "postcopy-paused"), SideState("running", "postcopy-active"), []),
        (SideState("postmigrate", "postcopy-paused"), SideState("running", "postcopy-paused"), []),
        (SideState("postmigrate", "postcopy-active"), SideState("running", "completed"), []),
        (SideState("running", "postcopy-paused"), SideState("running", "completed"), []),
        (SideState("postmigrate", "completed"), SideState("paused", "completed"), []),
    ],
)
def test_what_may_be_ended(
    source: SideState, destination: SideState | None, ended: list[str]
) -> None:
    states = {HERE: source} | ({THERE: destination} if destination is not None else {})
    assert not_needed(states) == ended
