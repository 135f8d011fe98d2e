"""From what each host says of its guests to the guests whose memory is on two hosts. Pure."""

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Sighting", "Spread", "State", "pair"]


class State(enum.StrEnum):
    """What a host says of an active guest, as far as post-copy is concerned; in virsh's words."""

    LEAVING = "paused (post-copy)"
    STRANDED = "paused (post-copy failed)"
    ARRIVING = "running (post-copy)"
    HALTED = "running (post-copy failed)"
    RUNNING = "running"
    OTHER = "neither running nor in post-copy"

    @property
    def spread(self) -> bool:
        """Whether the guest's memory is on two hosts."""
        return self in (State.LEAVING, State.STRANDED, State.ARRIVING, State.HALTED)

    @property
    def failed(self) -> bool:
        """Whether the host knows that the connection broke."""
        return self in (State.STRANDED, State.HALTED)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One active guest on one host."""

    uuid: str
    name: str
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A guest in post-copy, as all hosts together show it.

    :ivar name: at its source, if that was seen.
    :ivar dname: at its destination, if it is another one there.
    :ivar source: the URI of the host that it leaves; None where that cannot be told.
    :ivar destination: of the host that it goes to; likewise.
    :ivar interrupted: whether a host knows that its connection broke.
    :ivar seen: what each host says, in words.
    :ivar problem: why it cannot be helped from here, or nothing.
    """

    uuid: str
    name: str
    source: str | None
    destination: str | None
    interrupted: bool
    seen: str
    problem: str = ""
    dname: str | None = None


def pair(
    seen: Mapping[str, Sequence[Sighting] | None],
    known: Mapping[str, tuple[str, str]] | None = None,
) -> Iterator[Spread]:
    """Find the guests that are in post-copy, and both of their hosts.

    :param seen: by a host's URI, its active guests; None for one that does not answer.
    :param known: by a guest's UUID, which source and destination it was seen to have before: one of
        them may have fallen silent, or have lost it.
    """
    guests: dict[str, list[tuple[str, Sighting]]] = {}
    for uri, sightings in seen.items():
        for sighting in sightings or ():
            guests.setdefault(sighting.uuid, []).append((uri, sighting))
    silent = [uri for uri, sightings in seen.items() if sightings is None]
    for uuid, halves in guests.items():
        if any(sighting.state.spread for _, sighting in halves):
            yield _judge(halves, silent, (known or {}).get(uuid))


def _judge(
    halves: Sequence[tuple[str, Sighting]],
    silent: Sequence[str],
    known: tuple[str, str] | None,
) -> Spread:
    sources = [uri for uri, half in halves if half.state in (State.LEAVING, State.STRANDED)]
    # One that simply runs has all of its memory already; the source did not hear of that.
    running = (State.ARRIVING, State.HALTED, State.RUNNING)
    destinations = [uri for uri, half in halves if half.state in running]
    others = [uri for uri, _ in halves if uri not in (*sources, *destinations)]
    source, destination, problem = None, None, ""
    if len(destinations) > 1:
        problem = "more than one host runs it: look at them before anything else"
    elif len(sources) > 1 or len(halves) > 2:
        problem = (
            "from here it cannot be told which host it leaves;"
            " if you know: postcopy recover GUEST DEST --from URI"
        )
    else:
        # In between, such as at the switch, a half calls itself nothing in particular.
        source = _one(sources or (others if destinations else []))
        destination = _one(destinations or (others if sources else []))
        if known is not None and (source == known[0] or destination == known[1]):
            source, destination = source or known[0], destination or known[1]
        if source is None or destination is None:
            where = "its source" if source is None else "its destination"
            away = f" ({', '.join(silent)} does not answer)" if silent else ""
            problem = f"{where} is none of the hosts that are watched and answer{away}"
    names = {uri: half.name for uri, half in halves}
    name = names.get(source or "", halves[0][1].name)
    dname = names.get(destination or "", name)
    return Spread(
        uuid=halves[0][1].uuid,
        name=name,
        dname=dname if dname != name else None,
        source=source,
        destination=destination,
        interrupted=any(half.state.failed for _, half in halves),
        seen=", ".join(f"{half.state} at {uri}" for uri, half in halves),
        problem=problem,
    )


def _one(uris: Sequence[str]) -> str | None:
    return uris[0] if uris else None
