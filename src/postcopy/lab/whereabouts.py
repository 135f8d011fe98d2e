"""Which host a guest of the lab runs on, whoever was asked for its state on each."""

from collections.abc import Mapping

from postcopy.errors import UnavailableError

__all__ = ["running_on"]


def running_on(states: Mapping[str, str], guest: str, *, absent: str, hint: str) -> str:
    """Return the host on which a guest is running.

    :param states: what is said of it, by host.
    :param guest: what it is and how it is called, in words.
    :param absent: what it means that nobody knows it.
    :param hint: how to look further, or to give it up.
    :raises UnavailableError: when it runs nowhere.
    """
    for name, state in states.items():
        if state == "running":
            return name
    seen = ", ".join(f"{state} on {name}" for name, state in states.items())
    raise UnavailableError(f"{guest} runs on no host ({seen or absent})", hint=hint)
