"""What may happen to a server, and to the cloud, while a live migration is under way."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from postcopy.errors import PermissionDeniedError, PostcopyError, RefusedError, RetryableError
from postcopy.migration.event import SampleTaken
from postcopy.migration.outcome import Fate
from postcopy.migration.phase import Phase
from postcopy.testing.shapes import Answer

from .moves import World, world

P = Phase


class Refusing:
    """Has the cloud refuse some requests for a while.

    :param part: what a request's path has in it.
    """

    def __init__(self, world: World, method: str, part: str, status: int, words: str) -> None:
        self.world = world
        self.method, self.part = method, part
        self.answer = (status, {"error": {"code": status, "message": words}})
        self.asked = 0
        self._span = (-math.inf, math.inf)
        self._passed_on = world.nova.answer
        world.nova.answer = self  # type: ignore[method-assign]

    def between(self, begin: float, end: float) -> "Refusing":
        """Refuse then only, in seconds from now."""
        now = self.world.clock.now()
        self._span = (now + begin, now + end)
        return self

    def __call__(
        self, method: str, path: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> tuple[Answer | None, dict[str, str]]:
        if method == self.method and self.part in path:
            self.asked += 1
            if self._span[0] <= self.world.clock.now() < self._span[1]:
                return self.answer, {}
        return self._passed_on(method, path, body, headers)


@pytest.mark.parametrize(
    ("status", "words", "error"),
    [
        (403, "Quota exceeded for instances", PermissionDeniedError),
        (409, "Instance 5f3a1b1e is locked", RefusedError),
        (429, "This request was rate-limited", RetryableError),
        (400, "Compute service of beta is unavailable at this time.", RefusedError),
    ],
)
async def test_a_move_that_nova_refuses_is_not_begun(
    tmp_path: Path, status: int, words: str, error: type[PostcopyError]
) -> None:
    with world(tmp_path) as w:
        Refusing(w, "POST", "/action", status, words)
        with pytest.raises(error, match=words):
            await w.move()
        assert w.cloud.migrations == []


async def test_locked_when_it_should_switch(tmp_path: Path) -> None:
    """A lock binds everybody but administrators; pre-copy goes on, and is switched afterwards."""
    with world(tmp_path) as w:
        locked = Refusing(w, "POST", "/migrations/", 409, "Instance 5f3a1b1e is locked")
        locked.between(5.0, 45.0)
        outcome = await w.move(switch_after=10.0)
        assert locked.asked > 1
    assert outcome.fate is Fate.COMPLETED
    assert "is locked" in w.notes
    assert P.POSTCOPY in w.phases


@pytest.mark.parametrize("after", [12.0, 32.0])
async def test_deleted_in_pre_copy_and_in_post_copy(tmp_path: Path, after: float) -> None:
    with world(tmp_path, bandwidth=8.0 * (1 << 20)) as w:
        w.cloud.later.append((after, lambda: setattr(w.cloud, "server", None)))
        outcome = await w.move(switch_after=15.0)
    assert (P.POSTCOPY in w.phases) is (after > 15)
    assert outcome.fate is Fate.FAILED
    assert "deleted meanwhile" in outcome.error
    assert "openstack server event list" in outcome.hint


async def test_called_off_while_it_waits_in_the_queue(tmp_path: Path) -> None:
    with world(tmp_path, queued_seconds=60.0) as w:
        driver = w.driver()
        supervisor = w.supervisor(driver, None)
        observe = supervisor._observe

        def call_off(event: Any) -> None:
            observe(event)
            if isinstance(event, SampleTaken) and event.sample.status.startswith("queued"):
                supervisor.ask_to_cancel()

        supervisor._observe = call_off
        outcome = await supervisor.run()
        assert outcome.fate is Fate.CANCELLED
        # Nova takes it since 2.65.
        assert {v for m, _, v in w.nova.requests if m == "DELETE"} == {"2.65"}


@pytest.mark.parametrize("after", [8.0, 30.0])
async def test_keystone_is_away_when_a_token_has_expired(tmp_path: Path, after: float) -> None:
    with world(tmp_path) as w:
        away = Refusing(w, "POST", "/v3/auth", 503, "The service is unavailable")
        away.between(after, after + 60.0)
        w.cloud.later.append((after, w.nova.expire_tokens))
        outcome = await w.move(switch_after=20.0)
        assert away.asked > 2
    assert outcome.fate is Fate.COMPLETED
    assert P.UNKNOWN in w.phases
    assert "Nova answers again" in w.notes


async def test_a_token_expires_between_looking_and_acting(tmp_path: Path) -> None:
    """Whatever is asked for next brings a new one along."""
    with world(tmp_path) as w:
        driver = w.driver()
        await driver.start()
        async for sample in driver.samples():
            if sample.phase is P.PRECOPY and not w.asked("POST", "/migrations/"):
                w.nova.expire_tokens()
                await driver.switch()
        assert sample.phase is P.COMPLETED
        assert w.nova.logins == 2
