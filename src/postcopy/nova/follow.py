"""Follows one live migration that Nova drives, whatever Nova shows of it."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from postcopy.clock import Clock
from postcopy.errors import (
    NotFoundError,
    OutcomeUnknownError,
    PostcopyError,
    RefusedError,
)
from postcopy.migration.outcome import Figures
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample
from postcopy.nova import advice
from postcopy.nova.api import NovaApi
from postcopy.nova.figures import Reader
from postcopy.nova.hypervisors import Watcher
from postcopy.nova.look import Look, Seen
from postcopy.nova.permission import Effect
from postcopy.nova.refusals import ConflictError
from postcopy.nova.status import Verdict, judge

__all__ = ["Follower"]

_ASK_SECONDS = 1.0
"""How often Nova is asked."""
_BESIDE_SECONDS = 0.1
"""How long a look at libvirt waits for what Nova says at the same time."""
_PATIENCE_SECONDS = 180.0
"""How long the API may be silent, or answer with errors, before we stop watching."""
_AGAIN_SECONDS = 8.0
"""Nova says no word of a switch or an abort that its compute host could not do: ask again."""
_UNPROVEN_SECONDS = 3.0
"""How far Nova and libvirt may be apart at a switch: they are not asked at once."""
_STUCK_SECONDS = 60.0
"""Without any progress in post-copy for this long, a user should know."""


class Follower:
    """Looks, judges, and sees to it that what was asked for is done.

    :param name: what the user calls the server.
    :param notes: where to put what a user should know.

    :ivar migration: the id of the migration; None while it is not known.
    :ivar watcher: the hosts' libvirts, where they are asked.
    :ivar paused_before: whether the guest stood still before it all began.
    :ivar advice: what to do about the end that it came to.
    :ivar given_up: whether nothing more is to be learnt from here.
    :ivar blind: whether post-copy goes on, and its figures are not libvirt's own of just now: that
        they stand still says nothing.
    """

    def __init__(self, api: NovaApi, name: str, clock: Clock, notes: list[str]) -> None:
        self.migration: int | None = None
        self.watcher: Watcher | None = None
        self.paused_before = False
        self.advice = ""
        self.given_up = False
        self.blind = False
        self._api = api
        self._name = name
        self._clock = clock
        self._notes = notes
        self._uuid = ""
        self._source = ""
        self._look: Look | None = None
        self._seen: Seen | None = None
        self._looked_at = 0.0
        self._silent_since: float | None = None
        self._reader = Reader()
        self._phase = Phase.SETUP
        self._doubt: tuple[Phase | None, float] | None = None
        self._switch_at: float | None = None
        self._refused_at: float | None = None
        self._pauses = False
        self._effect = Effect.EITHER
        self._cancel_at: float | None = None
        self._progress: tuple[int, float] | None = None
        self._told: set[str] = set()
        self._asking: asyncio.Task[None] | None = None
        self._unproven_since: float | None = None

    @property
    def lost(self) -> bool:
        """Whether the guest has arrived, and Nova, which does nothing more, takes it to be here."""
        look, seen = self._look, self._seen
        arrived = seen is not None and seen.phase is Phase.COMPLETED
        return arrived and look is not None and look.at_rest and look.host == self._source

    @property
    def destination(self) -> str:
        """Where it goes; empty while no host is chosen."""
        return self._look.destination if self._look else ""

    def follow(self, uuid: str, source: str) -> None:
        """Say what to follow."""
        self._uuid, self._source = uuid, source

    async def first(self) -> None:
        """Look for the first time; that nobody answers is no error."""
        await self._ask(self._clock.now())

    async def samples(self) -> list[Sample]:
        """Look, and say where it stands, after what is known to have happened since."""
        at = self._clock.now()
        seen = self._seen = await self._see()
        if at - self._looked_at >= _ASK_SECONDS or (seen and seen.phase is not self._phase):
            await self._ask_beside(at, seen is not None)
        if self._silent_since is not None and (seen is None or seen.gone):
            # A guest that has left the source is Nova's to find; whether it has, only Nova knows.
            return self._nobody_answers(at)
        if self._look is None:
            return self._sample(at, Verdict(phase=None, status="Nova does not answer"), seen)
        verdict = self._believed(at, judge(self._look, self._name, self._source, seen))
        if verdict.phase is Phase.FAILED and self._look.server is not None:
            verdict = await self._explained(verdict)
        samples = self._sample(at, verdict, seen)
        told = seen is not None and bool(seen.statistics.get("memory_total"))
        self.blind = self._phase is Phase.POSTCOPY and not told
        self._remark(at, self._look, seen)
        await self._insist(at, self._look, seen)
        return samples

    async def switch(self, effect: Effect) -> None:
        """Have Nova end pre-copy, unless it has done so itself.

        :param effect: what that does to the guest.
        """
        self._switch_at, self._effect = self._clock.now(), effect
        try:
            await self._api.force_complete(self._uuid, self._known())
            # Nova never shows it: it does not look at a guest's power state during a migration.
            self._pauses = effect is Effect.PAUSE
        except (ConflictError, NotFoundError) as error:
            # Nova's own time-out, or the end of it all, may have come first.
            if not await self._is(Phase.POSTCOPY, *_ENDS):
                self._refused(error)
        except OutcomeUnknownError:
            pass  # if it did not come through, it is asked for again

    def _refused(self, error: PostcopyError) -> None:
        """Tell whoever wants a switch that Nova refuses it; one who insists has it asked for again.

        A server may be locked for a while, and pre-copy goes on meanwhile.
        """
        at, before = self._clock.now(), self._refused_at
        self._refused_at = at
        if before is None or at - before > _AGAIN_SECONDS or not isinstance(error, ConflictError):
            self._switch_at = None
            raise error
        self._switch_at = at
        self._told.add("again")
        self._note("refused", f"Nova does not switch now, and is asked again: {error.message}")

    async def cancel(self) -> None:
        """Have Nova call it off; where it cannot yet, as soon as it can.

        :raises RefusedError: in post-copy, where that would destroy the guest.
        """
        if await self._is(Phase.POSTCOPY, Phase.PAUSED, Phase.RECOVERING):
            raise RefusedError(
                f"server {self._name!r} is in post-copy: its memory is on both hosts, and calling"
                " the migration off would destroy it",
                hint="let it finish",
            )
        known = self._known()
        self._cancel_at = self._clock.now()
        with contextlib.suppress(ConflictError, OutcomeUnknownError, NotFoundError):
            await self._api.abort(self._uuid, known)

    async def figures(self) -> Figures:
        """Return libvirt's account, or what was seen to be sent."""
        from postcopy.libvirt.status import figures_of

        if self.watcher is not None and self.watcher.final is not None:
            return figures_of(self.watcher.final)
        if self._reader.statistics:
            return figures_of(self._reader.statistics)
        return Figures(transferred_bytes=self._reader.sent_bytes or None)

    def _known(self) -> int:
        if self.migration is None:
            raise NotFoundError(
                f"Nova has no live migration of server {self._name!r}",
                hint=f"openstack server migration list --server {self._name}",
            )
        return self.migration

    async def _see(self) -> Seen | None:
        return await self.watcher.look() if self.watcher is not None else None

    async def _ask_beside(self, at: float, watched: bool) -> None:
        """Ask Nova; where libvirt tells of passes, their ends do not wait for a slow answer."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(at))
        await asyncio.wait({self._asking}, timeout=_BESIDE_SECONDS if watched else None)
        if self._asking.done():
            asked, self._asking = self._asking, None
            asked.result()  # what is no answer of Nova's is an error of ours, and must be seen

    def close(self) -> None:
        """Wait for no more answers."""
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self, at: float) -> None:
        self._looked_at = at
        try:
            self._look = await self._api.look(self._uuid, self.migration)
        except PostcopyError as error:
            if self._silent_since is None:
                self._silent_since = at
                self._notes.append(f"waiting for Nova to answer again: {error.message}")
        else:
            if self._silent_since is not None:
                seconds = at - self._silent_since
                self._notes.append(f"Nova answers again, after {seconds:.0f} s")
            self._silent_since = None

    def _nobody_answers(self, at: float) -> list[Sample]:
        """Nova is silent, and libvirt cannot stand in for it."""
        assert self._silent_since is not None
        self.given_up = at - self._silent_since > _PATIENCE_SECONDS
        error = ""
        if self.given_up:
            error = f"{self._api.name} has not answered for {_PATIENCE_SECONDS:.0f} s"
            self.advice = advice.unknown(self._name, self._source, self.destination)
        return self._reader.read(at, Phase.UNKNOWN, "no answer", error, None, None)

    def _believed(self, at: float, verdict: Verdict) -> Verdict:
        """Let a verdict that may be a matter of moments wait until it has stood for long enough."""
        if not verdict.after:
            self._doubt = None
            return verdict
        if self._doubt is None or self._doubt[0] is not verdict.phase:
            self._doubt = (verdict.phase, at)
        if at - self._doubt[1] >= verdict.after:
            self.given_up = verdict.phase is Phase.UNKNOWN
            return verdict
        return Verdict(phase=None, status=verdict.status)

    async def _explained(self, verdict: Verdict) -> Verdict:
        """Tell an abort that was asked for from a failure, and why Nova gave up."""
        if self._cancel_at is not None:
            return Verdict(phase=Phase.CANCELLED, status=verdict.status)
        why = ""
        if not verdict.error:
            with contextlib.suppress(PostcopyError):
                why = await self._api.why(self._uuid)
        return Verdict(
            phase=verdict.phase,
            status=verdict.status,
            error=verdict.error or why,
            hint=verdict.hint,
        )

    def _sample(self, at: float, verdict: Verdict, seen: Seen | None) -> list[Sample]:
        phase = verdict.phase or self._phase
        if phase is Phase.SETUP and self._phase is Phase.PRECOPY:
            phase = Phase.PRECOPY  # figures come and go; memory does not go back
        if phase is Phase.PAUSED and verdict.phase is None:
            phase = (
                Phase.POSTCOPY
            )  # it was recovered: libvirt does not call it interrupted any more
        ends = phase.terminal or phase in (Phase.PAUSED, Phase.UNKNOWN)
        self.advice = verdict.hint if ends else ""
        error = verdict.error if ends else ""
        if phase is Phase.CANCELLED and self._cancel_at is None:
            error = error or "Nova called it off by itself (live_migration_completion_timeout)"
        if phase is not Phase.UNKNOWN:
            self._phase = phase
        return self._reader.read(at, phase, verdict.status, error, self._look, seen)

    def _remark(self, at: float, look: Look, seen: Seen | None) -> None:
        """Note what a user would not expect."""
        said = look.status == "running (post-copy)"
        if said and self._switch_at is None:
            self._note(
                "automatic",
                "Nova has gone over to post-copy by itself (live_migration_timeout_action is"
                " force_complete): it is followed to its end",
            )
        if not (said and seen is not None and seen.phase is Phase.PRECOPY):
            self._unproven_since = None
        elif self._unproven_since is None:
            self._unproven_since = at
        elif at - self._unproven_since > _UNPROVEN_SECONDS:
            self._note("unproven", "Nova says post-copy, and libvirt that it has not begun")
        stands = self._stands(look, seen)
        if stands and not self.paused_before and self._phase is Phase.PRECOPY:
            who = "by itself" if self._switch_at is None else "to end pre-copy"
            self._note(
                "paused",
                f"the guest was paused {who}: post-copy is not permitted on {self._source}. It goes"
                " on when it has moved",
            )
        if look.fault and self._phase is Phase.COMPLETED:
            self._note("fault", f"Nova has noted a fault of the server: {look.fault}")
        if self._phase is Phase.POSTCOPY and seen is None:
            progress = int((look.server or {}).get("progress") or 0)
            if self._progress is None or self._progress[0] != progress:
                self._progress = (progress, at)
            elif at - self._progress[1] > _STUCK_SECONDS:
                self._note(
                    "stuck",
                    f"no progress in post-copy for {_STUCK_SECONDS:.0f} s: was it interrupted? on"
                    f" {self._source}, virsh domstate --reason tells",
                )

    def _note(self, key: str, text: str) -> None:
        if key not in self._told:
            self._told.add(key)
            self._notes.append(text)

    async def _insist(self, at: float, look: Look, seen: Seen | None) -> None:
        """Ask again for what Nova has accepted and not done."""
        if self.migration is None or self._phase.spread or self._phase.terminal:
            return
        if self._cancel_at is not None and at - self._cancel_at > _AGAIN_SECONDS:
            self._cancel_at = at
            await self._quietly(self._api.abort(self._uuid, self.migration))
        elif (
            self._switch_at is not None
            and at - self._switch_at > _AGAIN_SECONDS
            and look.status == "running"
            and self._phase is Phase.PRECOPY
            and not self._stands(look, seen)
        ):
            self._switch_at = at
            doubt = "" if self._effect is Effect.POSTCOPY else ", unless the guest is paused"
            told = f"Nova has accepted the switch and not made it{doubt}: asking again"
            self._note("again", told)
            await self._quietly(self._api.force_complete(self._uuid, self.migration))

    def _stands(self, look: Look, seen: Seen | None) -> bool:
        """Return whether the guest stands still before the switch; libvirt's word counts most."""
        return seen.stopped if seen is not None else self._pauses or look.paused

    async def _quietly(self, call: Coroutine[Any, Any, None]) -> None:
        with contextlib.suppress(PostcopyError):
            await call

    async def _is(self, *phases: Phase) -> bool:
        """Look before acting: it may have gone on since the last sample."""
        at = self._clock.now()
        seen = await self._see()
        with contextlib.suppress(PostcopyError):
            await self._ask(at)
        if self._look is None:
            return self._phase in phases
        phase = judge(self._look, self._name, self._source, seen).phase
        return (phase or self._phase) in phases


_ENDS = (Phase.COMPLETED, Phase.ASTRAY, Phase.FAILED, Phase.CANCELLED)
