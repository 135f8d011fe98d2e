"""``openstack postcopy``, by OpenStackClient itself."""

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest

from postcopy.testing import FakeNova

pytestmark = pytest.mark.filterwarnings("ignore")  # OpenStackClient's own


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Undo what OpenStackClient does to the whole process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def openstack(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    from openstackclient.shell import main  # it warns of itself when it is imported

    code = main(["--os-cloud", "fake", "postcopy", *arguments])
    out, err = capfd.readouterr()
    return code, out, err


def test_a_server_moves(nova: FakeNova, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = openstack(
        capfd, "migrate", "web1", "--host", "beta", "--postcopy-permitted", "-f", "json"
    )
    told = json.loads(out)
    assert (code, told["fate"], told["destination"]) == (0, "completed", "beta")


def test_columns_are_chosen_as_everywhere(
    nova: FakeNova, capfd: pytest.CaptureFixture[str]
) -> None:
    nova.cloud.hot_bytes = 0
    code, out, _ = openstack(
        capfd, "migrate", "web1", "--policy", "precopy", "-f", "value", "-c", "fate"
    )
    assert (code, out) == (0, "completed\n")


def test_a_switch_that_may_pause_is_refused(
    nova: FakeNova, capfd: pytest.CaptureFixture[str]
) -> None:
    code, _, err = openstack(capfd, "migrate", "web1", "--host", "beta")
    assert code == 1
    assert "may pause server 'web1'" in err
    assert "hint: " in err
    assert nova.cloud.migrations == []


def test_one_that_fails_is_shown_and_fails(
    nova: FakeNova, capfd: pytest.CaptureFixture[str]
) -> None:
    nova.cloud.later.append((1.0, lambda: nova.cloud.refuse("No valid host was found.")))
    code, out, err = openstack(
        capfd, "migrate", "web1", "--policy", "precopy", "-f", "value", "-c", "fate"
    )
    assert (code, out) == (1, "failed\n")
    assert "No valid host was found." in err


async def begun_elsewhere(nova: FakeNova) -> None:
    nova.cloud.begin("beta")
    await nova.cloud.clock.sleep(12.0)


async def test_what_was_begun_elsewhere_is_listed_and_shown(
    nova: FakeNova, capfd: pytest.CaptureFixture[str]
) -> None:
    await begun_elsewhere(nova)
    code, out, _ = await run(capfd, "list", "-f", "json")
    assert code == 0
    (shown,) = json.loads(out)
    assert (shown["Status"], shown["Destination"]) == ("running", "beta")
    _, out, _ = await run(capfd, "show", "web1", "-f", "json")
    told = json.loads(out)
    assert (told["phase"], told["source"]) == ("precopy", "alpha")
    assert told["memory_bytes"] == nova.cloud.memory_bytes


async def test_what_was_begun_elsewhere_is_switched(
    nova: FakeNova, capfd: pytest.CaptureFixture[str]
) -> None:
    await begun_elsewhere(nova)
    code, _, err = await run(capfd, "switch", "web1")
    assert (code, "may pause" in err) == (1, True)
    code, out, _ = await run(capfd, "switch", "web1", "--postcopy-permitted")
    assert (code, "postcopy (running (post-copy))" in out) == (0, True)
    code, _, err = await run(capfd, "cancel", "web1")
    assert (code, "on both hosts" in err) == (1, True)


async def test_what_was_begun_elsewhere_is_called_off(
    nova: FakeNova, capfd: pytest.CaptureFixture[str]
) -> None:
    await begun_elsewhere(nova)
    code, out, _ = await run(capfd, "cancel", "web1")
    assert (code, "cancelled" in out) == (0, True)


async def test_nothing_is_under_way(nova: FakeNova, capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = await run(capfd, "show", "web1")
    assert (code, "no live migration of server 'web1' is under way" in err) == (1, True)


async def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run it beside the test's own loop: it has one of its own."""
    return await asyncio.to_thread(openstack, capfd, *arguments)
