"""Recovers one interrupted post-copy, however often its link breaks."""

import enum
from collections.abc import Callable
from dataclasses import dataclass

from postcopy.clock import Clock
from postcopy.errors import PostcopyError
from postcopy.migration.phase import Phase
from postcopy.migration.recovery.seam import Half, Look, Rescue
from postcopy.migration.recovery.stall import conclude
from postcopy.migration.recovery.steps import Step, next_step
from postcopy.units import format_seconds

__all__ = ["Ending", "Recovery", "Verdict"]

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 1.0
_PATH_SECONDS = 3.0
"""How long to listen for the path before both sides are looked at again."""
_BEHIND_SECONDS = 10.0
"""How long a destination may call itself paused after its source has gone on."""
_GRACE_SECONDS = 1.0
"""How long a side that was told to connect may still call itself paused: it lags."""
_CONNECTING_SECONDS = 1.5
_CONNECTING_UNSEEN_SECONDS = 20.0
_UNKNOWN_SECONDS = 30.0
_LOST_SECONDS = 5.0
"""How long a side must be seen gone: at a migration's end the source goes before all is told."""


class Ending(enum.StrEnum):
    """How a recovery ended."""

    RECOVERED = "recovered"
    """The migration goes on, or has ended by itself."""
    ARRIVED = "arrived"
    """The guest is whole at the destination, which the source does not know."""
    LOST = "lost"
    GIVEN_UP = "given up"
    """The time that the user set is over; the guest waits as before."""
    UNCLEAR = "unclear"
    """A side says what nobody understands: acting on it could make two guests of one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a recovery ended, and why in words.

    :ivar hint: what a person can still do, where there is something.
    """

    ending: Ending
    text: str
    hint: str = ""


class Recovery:
    """One recovery. It may be stopped and begun anew by somebody else at any moment.

    :param tell: called with what is done and why, one line each.
    :param see: called with the phase at each look, and what both sides say.
    :param limit: for how many seconds to try; None for ever: giving up would lose the guest.
    """

    def __init__(
        self,
        rescue: Rescue,
        clock: Clock,
        *,
        tell: Callable[[str], None],
        see: Callable[[Phase, str], None] = lambda phase, words: None,
        limit: float | None = None,
    ) -> None:
        self._rescue = rescue
        self._clock = clock
        self._tell_line = tell
        self._see = see
        self._limit = limit
        self._told = ""
        self._began = clock.now()
        self._pause = _FIRST_PAUSE_SECONDS
        self._broken: set[str] = set()
        self._carries = self._dead = self._accepted = False
        self._cut = ""
        self.connected = False
        """Whether both sides were connected again; else the migration goes on by itself."""

    async def run(self, cut: str = "") -> Verdict:
        """Carry it out.

        :param cut: why the connection is dead, where no hypervisor has said so.
        """
        self._cut = cut
        lost_since: float | None = None
        unknown_since: float | None = None
        connecting_since: float | None = None
        if cut:
            self._tell(f"interrupted: {cut}")
        while True:
            look = await self._look()
            step = next_step(look, cut=bool(self._cut), broken=self._broken)
            now = self._clock.now()
            lost_since = _since(lost_since, now, step is Step.LOST)
            if lost_since is not None and now - lost_since < _LOST_SECONDS:
                await self._rest()
                continue
            left_alone = step is Step.GO_ON and await self._left_to_tcp(look)
            if not left_alone and (end := _end(step, look)) is not None:
                # It may have gone on, and to its end, before anybody could look again.
                self.connected |= step is Step.GO_ON and self._accepted
                return end
            if self._limit is not None and now - self._began >= self._limit:
                waited = format_seconds(now - self._began)
                return Verdict(Ending.GIVEN_UP, f"not recovered within {waited}: {look}")
            if left_alone:
                self._tell(f"wait: nobody can pause both sides, TCP may still heal it: {look}")
                await self._rest()
                continue
            unknown_since = _since(unknown_since, now, Half.UNKNOWN in _both(look))
            if unknown_since is not None and now - unknown_since >= _UNKNOWN_SECONDS:
                return Verdict(Ending.UNCLEAR, f"a side says what cannot be acted on: {look}")
            connecting_since = _since(connecting_since, now, Half.CONNECTING in _both(look))
            if step is Step.WAIT:
                if connecting_since is not None and await self._stuck(look, now - connecting_since):
                    self._cut = "connecting again did not get through"
                    connecting_since = None
                    self._pause = _FIRST_PAUSE_SECONDS
                    self._tell(f"break off both sides: {self._cut}")
                    continue
                self._tell(f"wait: {look}")
                await self._rest()
            elif step is Step.CONNECT:
                self._cut = ""
                if await self._path() and await self._connect():
                    self._pause = _FIRST_PAUSE_SECONDS
            else:
                await self._break_off(step, look)

    async def _look(self) -> Look:
        look = await self._rescue.look()
        if Half.CONNECTING in _both(look):
            self._see(Phase.RECOVERING, str(look))
        elif self._cut or look.source is not Half.ACTIVE:
            self._see(Phase.PAUSED, str(look))
        return look

    async def _left_to_tcp(self, look: Look) -> bool:
        """Return whether a connection that nobody here can break off is still without an answer.

        Right after the switch that is the guest's one chance: a destination that has not taken it
        over yet ends when its connection does.
        """
        if not self._cut or look.destination not in (Half.SILENT, Half.UNKNOWN):
            return False
        wire = self._rescue.wire
        return wire is not None and conclude(await wire.connection())[0] is True

    async def _break_off(self, step: Step, look: Look) -> None:
        source = step in (Step.BREAK_OFF_BOTH, Step.BREAK_OFF_SOURCE)
        destination = step in (Step.BREAK_OFF_BOTH, Step.BREAK_OFF_DESTINATION)
        self._tell(f"{step}: {look}")
        self._accepted = False
        try:
            await self._rescue.break_off(source=source, destination=destination)
        except PostcopyError as error:
            self._tell(f"not yet broken off: {error.message}")
        else:
            self._broken |= {"source"} if source else set()
            self._broken |= {"destination"} if destination else set()
        await self._rest()

    async def _path(self) -> bool:
        """Return whether to connect now: the path carries, or nobody can tell."""
        if self._carries or self._rescue.wire is None:
            self._carries = False
            return True
        seconds = _PATH_SECONDS
        if self._limit is not None:
            left = self._limit - (self._clock.now() - self._began)
            seconds = max(0.1, min(seconds, left))
        carries: bool | None = False
        if not self._dead:
            carries = await self._rescue.wire.wait(0.0)
        if carries is False:
            self._dead = True
            self._tell("wait: both sides are paused, and the path between them carries nothing")
            carries = await self._rescue.wire.wait(seconds)
        if carries is False:
            return False
        self._dead = False
        if carries:
            self._tell("the path carries packets")
            self._pause = _FIRST_PAUSE_SECONDS
        # Time has passed: both sides are looked at once more before they are connected.
        self._carries = True
        return False

    async def _connect(self) -> bool:
        how = self._rescue.how
        self._tell(f"connect: both sides are paused{f'; {how}' if how else ''}")
        self._broken.clear()
        try:
            await self._rescue.connect()
            self._accepted = True
        except PostcopyError as error:
            self._tell(f"not connected: {error.message}")
            await self._rest()
            return False
        told_at, connecting = self._clock.now(), False
        while True:
            look = await self._look()
            if look.source in (Half.ACTIVE, Half.DONE):
                # A daemon that was restarted for this knows later what its QEMU does.
                behind = look.destination is Half.PAUSED
                if not behind or self._clock.now() - told_at >= _BEHIND_SECONDS:
                    self.connected = True
                    return True
            elif look.source is not Half.PAUSED:
                connecting = True
                if self._clock.now() - told_at >= _CONNECTING_SECONDS:
                    return False  # the loop outside knows what to do about that
            elif connecting or self._clock.now() - told_at >= _GRACE_SECONDS:
                self._tell(f"not connected: {look}")
                await self._rest()
                return False
            await self._clock.sleep(_FIRST_PAUSE_SECONDS)

    async def _stuck(self, look: Look, seconds: float) -> bool:
        """Return whether connecting has hung for that long because its link broke again."""
        if look.source is Half.PAUSED:
            # The source has given up what the destination still waits for.
            return seconds >= _GRACE_SECONDS
        if seconds < _CONNECTING_SECONDS:
            return False
        wire = self._rescue.wire
        dead, _ = conclude(await wire.connection() if wire is not None else None)
        if dead is None and wire is not None:
            # What is on its way may come from the other side: then this one's kernel knows nothing.
            dead = True if await wire.wait(0.0) is False else None
        return dead or (dead is None and seconds >= _CONNECTING_UNSEEN_SECONDS)

    async def _rest(self) -> None:
        await self._clock.sleep(self._pause)
        self._pause = min(self._pause * 1.5, _LONGEST_PAUSE_SECONDS)

    def _tell(self, line: str) -> None:
        if line != self._told:
            self._told = line
            self._tell_line(line)


def _both(look: Look) -> tuple[Half, Half]:
    return look.source, look.destination


def _since(before: float | None, now: float, holds: bool) -> float | None:
    return (now if before is None else before) if holds else None


def _end(step: Step, look: Look) -> Verdict | None:
    match step:
        case Step.GO_ON if look.destination in (Half.SILENT, Half.UNKNOWN):
            return Verdict(
                Ending.RECOVERED, f"left to heal by itself, nobody can pause both sides: {look}"
            )
        case Step.GO_ON:
            return Verdict(Ending.RECOVERED, f"the migration goes on: {look}")
        case Step.ARRIVED:
            return Verdict(Ending.ARRIVED, f"the destination has all of the guest's memory: {look}")
        case Step.LOST:
            side, other = (
                ("source", "destination") if look.source is Half.GONE else ("destination", "source")
            )
            return Verdict(
                Ending.LOST,
                f"the {side} is gone, and with it what the {other} lacks of the guest: {look}",
                f"the guest is lost. What the {other} has of its memory stays there, paused, for"
                " whoever wants to look into it: dump it, and never resume it. Then end it there,"
                " and start the guest anew from its disks",
            )
    return None
