import pytest

from postcopy.errors import UnavailableError
from postcopy.lab.whereabouts import running_on


def where(states: dict[str, str]) -> str:
    return running_on(states, "domain 'web1'", absent="it is not defined", hint="look")


def test_where_it_runs_is_told_whatever_else_there_is_of_it() -> None:
    assert where({"alpha": "paused", "beta": "running"}) == "beta"


@pytest.mark.parametrize(
    ("states", "seen"),
    [
        ({"alpha": "paused", "beta": "shut off"}, "paused on alpha, shut off on beta"),
        ({}, "it is not defined"),
    ],
)
def test_one_that_runs_nowhere_is_told_with_what_was_seen(
    states: dict[str, str], seen: str
) -> None:
    with pytest.raises(UnavailableError) as error:
        where(states)
    assert error.value.message == f"domain 'web1' runs on no host ({seen})"
    assert error.value.hint == "look"
