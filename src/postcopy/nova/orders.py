"""What Nova was told to do with a migration, and is told again until it is done."""

import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from postcopy.errors import (
    NotFoundError,
    OutcomeUnknownError,
    PostcopyError,
    RefusedError,
)
from postcopy.migration.phase import Phase
from postcopy.nova.calls import Calls
from postcopy.nova.look import Look, Seen
from postcopy.nova.permission import Effect
from postcopy.nova.refusals import ConflictError
from postcopy.nova.remarks import Remarks

__all__ = ["Orders"]

_AGAIN_SECONDS = 8.0
"""Nova says no word of a switch or an abort that its compute host could not do: ask again."""

_ENDS = (Phase.COMPLETED, Phase.ASTRAY, Phase.FAILED, Phase.CANCELLED)


class Orders:
    """A switch, and the calling off.

    :param now: tells the time.
    :param is_in: looks whether the migration is, by now, in one of some phases.
    """

    def __init__(
        self,
        calls: Calls,
        name: str,
        remarks: Remarks,
        *,
        now: Callable[[], float],
        is_in: Callable[..., Awaitable[bool]],
    ) -> None:
        self._calls = calls
        self._name = name
        self._remarks = remarks
        self._now = now
        self._is_in = is_in
        self._switch_at: float | None = None
        self._refused_at: float | None = None
        self._pauses = False
        self._effect = Effect.EITHER
        self._cancel_at: float | None = None

    @property
    def switched(self) -> bool:
        """Whether a switch was asked for."""
        return self._switch_at is not None

    @property
    def called_off(self) -> bool:
        """Whether it was asked for that the migration be called off."""
        return self._cancel_at is not None

    def stands(self, look: Look, seen: Seen | None) -> bool:
        """Return whether the guest stands still before the switch; libvirt's word counts most."""
        return seen.stopped if seen is not None else self._pauses or look.paused

    async def switch(self, effect: Effect) -> None:
        """Have Nova end pre-copy, unless it has done so itself.

        :param effect: what that does to the guest.
        :raises ConflictError: when Nova refuses it, and it is not insisted on.
        """
        self._switch_at, self._effect = self._now(), effect
        try:
            await self._calls.force_complete()
            # Nova never shows it: it does not look at a guest's power state during a migration.
            self._pauses = effect is Effect.PAUSE
        except (ConflictError, NotFoundError) as error:
            # Nova's own time-out, or the end of it all, may have come first.
            if not await self._is_in(Phase.POSTCOPY, *_ENDS):
                self._refused(error)
        except OutcomeUnknownError:
            pass  # if it did not come through, it is asked for again

    def _refused(self, error: PostcopyError) -> None:
        """Tell whoever wants a switch that Nova refuses it; one who insists has it asked for again.

        A server may be locked for a while, and pre-copy goes on meanwhile.
        """
        at, before = self._now(), self._refused_at
        self._refused_at = at
        if before is None or at - before > _AGAIN_SECONDS or not isinstance(error, ConflictError):
            self._switch_at = None
            raise error
        self._switch_at = at
        self._remarks.leave_out("again")
        told = f"Nova does not switch now, and is asked again: {error.message}"
        self._remarks.note("refused", told)

    async def cancel(self) -> None:
        """Have Nova call it off; where it cannot yet, as soon as it can.

        :raises RefusedError: in post-copy, where that would destroy the guest.
        """
        if await self._is_in(Phase.POSTCOPY, Phase.PAUSED, Phase.RECOVERING):
            raise RefusedError(
                f"server {self._name!r} is in post-copy: its memory is on both hosts, and calling"
                " the migration off would destroy it",
                hint="let it finish",
            )
        _ = self._calls.known  # of one that is not there, nothing is called off
        self._cancel_at = self._now()
        with contextlib.suppress(ConflictError, OutcomeUnknownError, NotFoundError):
            await self._calls.abort()

    async def insist(self, at: float, phase: Phase, look: Look, seen: Seen | None) -> None:
        """Ask again for what Nova has accepted and not done."""
        if self._calls.migration is None or phase.spread or phase.terminal:
            return
        if self._cancel_at is not None and at - self._cancel_at > _AGAIN_SECONDS:
            self._cancel_at = at
            await _quietly(self._calls.abort())
        elif (
            self._switch_at is not None
            and at - self._switch_at > _AGAIN_SECONDS
            and look.status == "running"
            and phase is Phase.PRECOPY
            and not self.stands(look, seen)
        ):
            self._switch_at = at
            doubt = "" if self._effect is Effect.POSTCOPY else ", unless the guest is paused"
            told = f"Nova has accepted the switch and not made it{doubt}: asking again"
            self._remarks.note("again", told)
            await _quietly(self._calls.force_complete())


async def _quietly(call: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(PostcopyError):
        await call
