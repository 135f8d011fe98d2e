"""What a switch will do, and how one knows."""

from typing import Any

import pytest

from postcopy.doctor.permission import permission_of
from postcopy.nova.facts import NovaFacts
from postcopy.nova.permission import Effect, Permission
from postcopy.testing import FakeHost

from .hosts import COMPUTE, COMPUTE_CONF, NOVA, evidence

PERMITS = "[libvirt]\nlive_migration_permit_post_copy = true\n"


def told(text: str, **more: Any) -> Permission:
    found = evidence({NOVA: text, COMPUTE: COMPUTE_CONF}, **more)
    return Permission.of_facts("alpha", NovaFacts.of(found))


@pytest.mark.parametrize(
    ("text", "effect", "words"),
    [
        (PERMITS, Effect.POSTCOPY, "live_migration_permit_post_copy is true on alpha"),
        (PERMITS.replace("true", "no"), Effect.PAUSE, "is false on alpha"),
        ("[libvirt]\n", Effect.PAUSE, "is false on alpha"),  # the default
    ],
)
def test_nova_conf_says_it(text: str, effect: Effect, words: str) -> None:
    permission = told(text)
    assert permission.effect is effect
    assert words in str(permission)


def test_what_nova_compute_has_not_read_does_not_count() -> None:
    permission = told(PERMITS, changed={NOVA: 2000.0})
    assert permission.effect is Effect.EITHER
    assert "has changed since nova-compute was started" in permission.because


def test_a_host_without_nova() -> None:
    assert told("", compute=False).effect is Effect.EITHER


async def test_a_host_is_looked_at() -> None:
    section = {
        "compute": True,
        "layout": [["file", NOVA]],
        "files": {NOVA: {"text": PERMITS, "mode": 0o640}},
    }
    host = FakeHost("ssh://alpha", {"nova": section})
    permission = await permission_of(host, "alpha")
    assert permission.effect is Effect.POSTCOPY
    assert host.closed


@pytest.mark.parametrize(
    "host",
    [
        FakeHost("alpha", error="no route to host"),
        FakeHost("alpha", said="Welcome!"),
        FakeHost("alpha", {"nova": {"error": "it stumbled"}}),
    ],
)
async def test_a_host_that_does_not_tell(host: FakeHost) -> None:
    permission = await permission_of(host, "alpha")
    assert permission.effect is Effect.EITHER
    assert "alpha could not be looked at" in permission.because
