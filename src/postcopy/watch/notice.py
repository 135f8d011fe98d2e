"""What a guard says, and how it keeps from saying it for ever."""

import enum
from collections.abc import Callable, Hashable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from postcopy.clock import Clock

__all__ = ["Backoff", "Kind", "Notice", "Quiet"]


class Kind(enum.StrEnum):
    """What a notice is about."""

    GUARD = "guard"
    """The guard itself: it begins, or ends."""
    HOST_BACK = "host-back"
    HOST_AWAY = "host-away"
    UNDER_WAY = "under-way"
    """A guest is in post-copy, and all is well."""
    INTERRUPTED = "interrupted"
    CLAIMED = "claimed"
    """Somebody else looks after a guest."""
    LEFT = "left"
    """A guest cannot be helped from here; the text says why."""
    RECOVERY = "recovery"
    """One step of a recovery, and why."""
    RECOVERED = "recovered"
    """It goes on."""
    NOTE = "note"
    ARRIVED = "arrived"
    FAILED = "failed"
    """A guest was not brought to its destination."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to be said.

    :ivar at: when, in Unix time.
    :ivar text: in one line, for people.
    :ivar host: the URI of the host that it is about; of a guest, see the next two.
    :ivar source: the URI of the host that the guest leaves.
    :ivar destination: of the one that it goes to.
    """

    at: float
    kind: Kind
    text: str
    host: str = ""
    guest: str = ""
    uuid: str = ""
    source: str = ""
    destination: str = ""

    @property
    def troubling(self) -> bool:
        """Whether a person should look."""
        return self.kind in (Kind.HOST_AWAY, Kind.INTERRUPTED, Kind.LEFT, Kind.FAILED)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON; without what it is not about."""
        return {name: value for name, value in asdict(self).items() if value != ""}


class Backoff:
    """How long to wait before something is tried again: ever longer, up to a bound.

    :param first: seconds after the first failure.
    :param longest: seconds at most.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def failed(self) -> float:
        """Return for how many seconds to wait now."""
        seconds = self._next
        self._next = min(self._next * 2, self._longest)
        return seconds

    def reset(self) -> None:
        """Begin anew: it has worked."""
        self._next = self._first


class Quiet:
    """Says each thing about a matter once, and again only after ever longer times.

    :param longest: seconds after which the same is said again at the latest, if it still holds.
    """

    def __init__(self, clock: Clock, longest: float = 3600.0) -> None:
        self._clock = clock
        self._longest = longest
        self._said: dict[Hashable, dict[str, tuple[float, Backoff]]] = {}

    def say(
        self, matter: Hashable, text: str, tell: Callable[[], None], seconds: float | None = None
    ) -> None:
        """Tell, unless the same text was told of that matter just now.

        :param seconds: after which it may be said for a second time; the longest time if None.
        """
        now = self._clock.now()
        said = self._said.setdefault(matter, {})
        # What was said long ago, and not since, is news again.
        for old in [known for known, (until, _) in said.items() if now - until >= self._longest]:
            del said[old]
        until, again = said.get(text, (now, Backoff(seconds or self._longest, self._longest)))
        if now >= until:
            said[text] = (now + again.failed(), again)
            tell()

    def forget(self, matter: Hashable) -> None:
        """Forget what was said of a matter: it has changed."""
        self._said.pop(matter, None)

    def forget_all_but(self, matters: Iterable[Hashable]) -> None:
        """Forget what was said of everything else, which is over."""
        kept = set(matters)
        self._said = {matter: said for matter, said in self._said.items() if matter in kept}
