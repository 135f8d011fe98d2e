"""Which microversion of Nova's API brought what, and what is lost with a Nova that lacks it.

Source: "REST API Version History" of Nova's API reference.
"""

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Feature", "Microversion", "FEATURES", "best", "losses"]

Microversion = tuple[int, int]

LEAST: Microversion = (2, 1)


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that a microversion brought.

    :ivar loss: what it costs to do without.
    :ivar vital: whether nothing is moved without it.
    """

    version: Microversion
    loss: str
    vital: bool = False


FEATURES: dict[str, Feature] = {
    "force_complete": Feature((2, 22), "a migration cannot be switched to post-copy"),
    "figures": Feature((2, 23), "there are no figures of a migration, so no policy can judge it"),
    "abort": Feature((2, 24), "a migration cannot be called off"),
    "auto": Feature(
        (2, 25), "Nova does not find out by itself whether disks are to be copied", vital=True
    ),
    "async": Feature((2, 34), "Nova answers only after it has checked both hosts"),
    "abort_queued": Feature((2, 65), "one that waits in the queue cannot be called off"),
    "details": Feature((2, 84), "why a host refused is only in Nova's log"),
}

_WORDS = {
    "server": ((2, 9), LEAST),
    "own": ((2, 59), (2, 24), (2, 23)),
    "all": ((2, 59), (2, 23), LEAST),
    "actions": ((2, 84), (2, 51), LEAST),
    "move": ((2, 34), (2, 25)),
    "abort": ((2, 65), (2, 24)),
    "force_complete": ((2, 22),),
}
"""For each call, the microversions in which we know what it says, the best one first."""


def best(call: str, most: Microversion) -> str | None:
    """Return the microversion to make a call with, given Nova's newest; None if it has none."""
    for version in _WORDS[call]:
        if version <= most:
            return f"{version[0]}.{version[1]}"
    return None


def losses(most: Microversion) -> Iterator[str]:
    """Say what a Nova whose newest microversion is `most` costs."""
    for feature in FEATURES.values():
        if feature.version > most:
            wanted = f"{feature.version[0]}.{feature.version[1]}"
            yield f"this Nova has no microversion {wanted}: {feature.loss}"
