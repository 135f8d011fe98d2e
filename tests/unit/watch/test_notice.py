"""How what goes on and on is kept from filling a journal."""

from postcopy.testing import FakeClock
from postcopy.watch.notice import Backoff, Quiet


async def test_the_same_is_said_ever_more_rarely_and_other_things_at_once() -> None:
    clock, told = FakeClock(), []
    quiet = Quiet(clock)
    for second in range(24 * 3600):
        quiet.say("web1", "not connected", lambda at=second: told.append(at), 60.0)  # type: ignore[misc]
        await clock.sleep(1.0)
    assert told[:5] == [0, 60, 180, 420, 900]
    assert len(told) < 35  # of 86,400
    quiet.say("web1", "connected", lambda: told.append(-1))
    quiet.say("web2", "not connected", lambda: told.append(-2))
    assert told[-2:] == [-1, -2]


async def test_what_was_forgotten_is_said_again() -> None:
    quiet, told = Quiet(FakeClock()), []
    for _ in range(3):
        quiet.say("web1", "away", lambda: told.append("web1"))
        quiet.say("web2", "away", lambda: told.append("web2"))
        quiet.forget("web1")
    assert told == ["web1", "web2", "web1", "web1"]
    quiet.forget_all_but({"web1"})
    quiet.say("web2", "away", lambda: told.append("web2"))
    assert told[-1] == "web2"


def test_waiting_grows_up_to_a_bound_and_begins_anew() -> None:
    backoff = Backoff(1.0, 5.0)
    assert [backoff.failed() for _ in range(4)] == [1.0, 2.0, 4.0, 5.0]
    backoff.reset()
    assert backoff.failed() == 1.0
