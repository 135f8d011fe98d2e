"""Services are not restarted under a guest that is on its way."""

import pytest

from postcopy.errors import RefusedError
from postcopy.processes import Completed
from postcopy.setup.guard import GuestState, check_restart, objection, parse_states

from .hosts import HostInHere

IDLE = "web1\n\n== web1\nrunning (booted)\n\nJob type:         None        \n\n"
LEAVING = (
    "web1\n== web1\nrunning (unpaused)\n\nJob type:         Unbounded   \n"
    "Operation:        Outgoing migration\nTime elapsed:     12           ms\n"
)
INTERRUPTED = "web1\n== web1\npaused (post-copy failed)\n\nJob type:         None\n"
SAVED = "web1\n== web1\nrunning (booted)\nJob type:         Bounded\nOperation:        Save\n"


@pytest.mark.parametrize(
    ("text", "service", "refused"),
    [
        (IDLE, "libvirtd.service", False),
        (IDLE, "nova-compute.service", False),
        (LEAVING, "libvirtd.service", True),
        (LEAVING, "virtqemud.service", True),
        (LEAVING, "nova-compute.service", True),
        (LEAVING, "nftables.service", False),
        (INTERRUPTED, "nova-compute.service", True),
        (SAVED, "libvirtd.service", False),
        ("", "libvirtd.service", False),
    ],
)
def test_a_restart_waits_for_migrations(text: str, service: str, refused: bool) -> None:
    assert bool(objection(service, parse_states(text))) is refused


@pytest.mark.parametrize(
    "state", ["running (post-copy)", "paused (post-copy)", "paused (migrating)"]
)
def test_a_guest_that_arrives_counts_too(state: str) -> None:
    assert objection("libvirtd.service", [GuestState("web1", state)])


def test_nova_is_told_why_not() -> None:
    assert "reset it to active" in objection("nova-compute.service", parse_states(INTERRUPTED))


async def test_a_daemon_that_does_not_run_may_be_started() -> None:
    down = Completed(1, "", "error: Failed to connect socket to '/run/libvirt': No such file")
    host = HostInHere(command=lambda argv: down)
    await check_restart(host, "libvirtd.service")
    with pytest.raises(RefusedError, match="does not say whether a guest"):
        await check_restart(host, "nova-compute.service")


async def test_a_daemon_that_will_not_say_is_left_alone() -> None:
    host = HostInHere(command=lambda argv: Completed(1, "", "error: authentication failed"))
    with pytest.raises(RefusedError, match="authentication failed"):
        await check_restart(host, "libvirtd.service")
