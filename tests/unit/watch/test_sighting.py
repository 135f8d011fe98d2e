"""What hosts show, put together."""

import pytest

from postcopy.watch.sighting import Sighting, Spread, State, pair

A, B, C = "qemu+tls://a/system", "qemu+tls://b/system", "qemu+tls://c/system"


def show(**states: State | None) -> list[Spread]:
    """One guest, as hosts show it; None for a host without it."""
    uris = {"a": A, "b": B, "c": C}
    return list(
        pair({
            uris[host]: [Sighting("u", "web1", state)] if state else []
            for host, state in states.items()
        })
    )  # fmt: skip


@pytest.mark.parametrize(
    ("here", "there", "interrupted"),
    [
        (State.LEAVING, State.ARRIVING, False),
        (State.STRANDED, State.ARRIVING, True),
        (State.STRANDED, State.HALTED, True),
        (State.LEAVING, State.HALTED, True),
        # All of it is there, and the source did not hear of it.
        (State.STRANDED, State.RUNNING, True),
        # At the switch, or where somebody has suspended the guest.
        (State.LEAVING, State.OTHER, False),
        (State.OTHER, State.ARRIVING, False),
    ],
)
def test_both_halves_are_found_whichever_host_comes_first(
    here: State, there: State, interrupted: bool
) -> None:
    for spreads in (show(a=here, b=there), show(b=there, a=here), show(a=here, c=None, b=there)):
        [spread] = spreads
        assert (spread.source, spread.destination) == (A, B)
        assert (spread.interrupted, spread.problem) == (interrupted, "")


def test_what_is_not_in_post_copy_is_nobodys_business() -> None:
    assert show(a=State.RUNNING, b=State.OTHER) == []
    assert show(a=State.OTHER, b=None) == []
    # Not even one that runs twice: whoever has done that knows why, or has other worries.
    assert show(a=State.RUNNING, b=State.RUNNING) == []


@pytest.mark.parametrize(
    ("states", "problem"),
    [
        ({"a": State.STRANDED, "b": None}, "its destination is none of the hosts"),
        ({"a": None, "b": State.HALTED}, "its source is none of the hosts"),
        ({"a": State.STRANDED, "b": State.STRANDED}, "cannot be told which host it leaves"),
        ({"a": State.STRANDED, "b": State.HALTED, "c": State.OTHER}, "cannot be told"),
        ({"a": State.STRANDED, "b": State.HALTED, "c": State.RUNNING}, "more than one host runs"),
        ({"a": State.RUNNING, "b": State.ARRIVING}, "more than one host runs"),
        ({"a": State.ARRIVING, "b": State.HALTED}, "more than one host runs"),
    ],
)
def test_what_cannot_be_helped_is_said_and_has_no_pair(
    states: dict[str, State | None], problem: str
) -> None:
    [spread] = show(**states)
    assert problem in spread.problem
    assert spread.source is None or spread.destination is None


def test_a_silent_host_is_named_and_an_earlier_pair_is_remembered() -> None:
    seen = {A: [Sighting("u", "web1", State.STRANDED)], B: None}
    [spread] = pair(seen)
    assert f"{B} does not answer" in spread.problem
    [spread] = pair(seen, {"u": (A, B)})
    assert (spread.source, spread.destination, spread.problem) == (A, B, "")
    # A pair that the other way round was known is of another migration.
    [spread] = pair(seen, {"u": (B, A)})
    assert spread.problem


def test_a_guest_may_have_another_name_at_its_destination() -> None:
    [spread] = pair(
        {B: [Sighting("u", "web2", State.HALTED)], A: [Sighting("u", "web1", State.STRANDED)]}
    )
    assert (spread.name, spread.dname) == ("web1", "web2")
