"""Follows one live migration that Nova drives, whatever Nova shows of it."""

import contextlib

from postcopy.clock import Clock
from postcopy.errors import PostcopyError
from postcopy.migration.outcome import Figures
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample
from postcopy.nova import advice
from postcopy.nova.api import NovaApi
from postcopy.nova.calls import Calls
from postcopy.nova.figures import Reader
from postcopy.nova.hypervisors import Watcher
from postcopy.nova.look import Seen
from postcopy.nova.orders import Orders
from postcopy.nova.permission import Effect
from postcopy.nova.remarks import Remarks
from postcopy.nova.status import Verdict, judge

__all__ = ["Follower"]

_PATIENCE_SECONDS = 180.0
"""How long the API may be silent, or answer with errors, before we stop watching."""


class Follower:
    """Looks, judges, and has what was asked for done (`Orders`) and what is odd told (`Remarks`).

    :param name: what the user calls the server.
    :param notes: where to put what a user should know.

    :ivar watcher: the hosts' libvirts, where they are asked.
    :ivar paused_before: whether the guest stood still before it all began.
    :ivar advice: what to do about the end that it came to.
    :ivar given_up: whether nothing more is to be learnt from here.
    :ivar blind: whether post-copy goes on, and its figures are not libvirt's own of just now: that
        they stand still says nothing.
    """

    def __init__(self, api: NovaApi, name: str, clock: Clock, notes: list[str]) -> None:
        self.watcher: Watcher | None = None
        self.paused_before = False
        self.advice = ""
        self.given_up = False
        self.blind = False
        self._api = api
        self._name = name
        self._clock = clock
        self._source = ""
        self._seen: Seen | None = None
        self._reader = Reader()
        self._phase = Phase.SETUP
        self._doubt: tuple[Phase | None, float] | None = None
        self._calls = Calls(api, name, notes)
        self._remarks = Remarks(notes)
        self._orders = Orders(self._calls, name, self._remarks, now=clock.now, is_in=self._is)

    @property
    def migration(self) -> int | None:
        """The id of the migration; None while it is not known."""
        return self._calls.migration

    @migration.setter
    def migration(self, number: int | None) -> None:
        self._calls.migration = number

    @property
    def lost(self) -> bool:
        """Whether the guest has arrived, and Nova, which does nothing more, takes it to be here."""
        look, seen = self._calls.look, self._seen
        arrived = seen is not None and seen.phase is Phase.COMPLETED
        return arrived and look is not None and look.at_rest and look.host == self._source

    @property
    def destination(self) -> str:
        """Where it goes; empty while no host is chosen."""
        return self._calls.look.destination if self._calls.look else ""

    def follow(self, uuid: str, source: str) -> None:
        """Say what to follow."""
        self._calls.uuid, self._source = uuid, source

    async def first(self) -> None:
        """Look for the first time; that nobody answers is no error."""
        await self._calls.ask(self._clock.now())

    async def samples(self) -> list[Sample]:
        """Look, and say where it stands, after what is known to have happened since."""
        at = self._clock.now()
        seen = self._seen = await self._see()
        if self._calls.due(at) or (seen and seen.phase is not self._phase):
            await self._calls.ask_beside(at, watched=seen is not None)
        silent_since, look = self._calls.silent_since, self._calls.look
        if silent_since is not None and (seen is None or seen.gone):
            # A guest that has left the source is Nova's to find; whether it has, only Nova knows.
            return self._nobody_answers(at, silent_since)
        if look is None:
            return self._sample(at, Verdict(phase=None, status="Nova does not answer"), seen)
        verdict = self._believed(at, judge(look, self._name, self._source, seen))
        if verdict.phase is Phase.FAILED and look.server is not None:
            verdict = await self._explained(verdict)
        samples = self._sample(at, verdict, seen)
        told = seen is not None and bool(seen.statistics.get("memory_total"))
        self.blind = self._phase is Phase.POSTCOPY and not told
        self._remarks.on(
            at,
            self._phase,
            look,
            seen,
            source=self._source,
            switched=self._orders.switched,
            paused=self._orders.stands(look, seen) and not self.paused_before,
        )
        await self._orders.insist(at, self._phase, look, seen)
        return samples

    async def switch(self, effect: Effect) -> None:
        """Have Nova end pre-copy, unless it has done so itself.

        :param effect: what that does to the guest.
        """
        await self._orders.switch(effect)

    async def cancel(self) -> None:
        """Have Nova call it off; where it cannot yet, as soon as it can.

        :raises RefusedError: in post-copy, where that would destroy the guest.
        """
        await self._orders.cancel()

    async def figures(self) -> Figures:
        """Return libvirt's account, or what was seen to be sent."""
        from postcopy.libvirt.status import figures_of

        if self.watcher is not None and self.watcher.final is not None:
            return figures_of(self.watcher.final)
        if self._reader.statistics:
            return figures_of(self._reader.statistics)
        return Figures(transferred_bytes=self._reader.sent_bytes or None)

    def close(self) -> None:
        """Wait for no more answers."""
        self._calls.close()

    async def _see(self) -> Seen | None:
        return await self.watcher.look() if self.watcher is not None else None

    def _nobody_answers(self, at: float, since: float) -> list[Sample]:
        """Nova is silent, and libvirt cannot stand in for it."""
        self.given_up = at - since > _PATIENCE_SECONDS
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
        if self._orders.called_off:
            return Verdict(phase=Phase.CANCELLED, status=verdict.status)
        why = ""
        if not verdict.error:
            with contextlib.suppress(PostcopyError):
                why = await self._calls.why()
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
            # It was recovered: libvirt does not call it interrupted any more.
            phase = Phase.POSTCOPY
        ends = phase.terminal or phase in (Phase.PAUSED, Phase.UNKNOWN)
        self.advice = verdict.hint if ends else ""
        error = verdict.error if ends else ""
        if phase is Phase.CANCELLED and not self._orders.called_off:
            error = error or "Nova called it off by itself (live_migration_completion_timeout)"
        if phase is not Phase.UNKNOWN:
            self._phase = phase
        return self._reader.read(at, phase, verdict.status, error, self._calls.look, seen)

    async def _is(self, *phases: Phase) -> bool:
        """Look before acting: it may have gone on since the last sample."""
        at = self._clock.now()
        seen = await self._see()
        await self._calls.ask(at)
        if self._calls.look is None:
            return self._phase in phases
        phase = judge(self._calls.look, self._name, self._source, seen).phase
        return (phase or self._phase) in phases
