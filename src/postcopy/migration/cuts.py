"""Cuts of one migration's connection in post-copy: noticed, recovered, counted."""

from collections.abc import Callable

from postcopy.clock import Clock
from postcopy.errors import PostcopyError
from postcopy.migration.driver import Driver
from postcopy.migration.event import Event, Noted, Recovered
from postcopy.migration.phase import Phase
from postcopy.migration.recovery import Ending, Recovery, StallWatch
from postcopy.migration.sample import Sample

__all__ = ["Cuts"]

_LAG_SECONDS = 0.1


class Cuts:
    """Notices them and has them recovered, one after the other, for a migration's whole life.

    :param tell: called with what is worth telling.
    :param see: called with a phase that was seen by others than the driver, and their words.
    :param recover: whether to do anything about them at all.
    :param recover_seconds: for how long to try, each time; None for ever.

    :ivar recoveries: how often both sides were connected again.
    :ivar interrupted_seconds: from noticing until it went on, of all of them together.
    :ivar hint: what a person can still do for a guest that was lost.
    """

    def __init__(
        self,
        driver: Driver,
        clock: Clock,
        *,
        tell: Callable[[Event], None],
        see: Callable[[Phase, str], None],
        recover: bool = True,
        recover_seconds: float | None = None,
    ) -> None:
        self.recoveries = 0
        self.interrupted_seconds = 0.0
        self.hint = ""
        self._driver = driver
        self._clock = clock
        self._tell = tell
        self._see = see
        self._wanted = recover
        self._seconds = recover_seconds
        self._stall = StallWatch()
        self._told_recovered = False

    async def noticed(self, sample: Sample) -> str:
        """Return why the connection must be dead, if it must."""
        if sample.phase is Phase.POSTCOPY:
            self._told_recovered = False  # whatever comes next is another cut
        if not self._wanted or (rescue := self._driver.rescue) is None:
            return ""
        return await self._stall.judge(sample, rescue.wire)

    async def recover(self, cut: str) -> str | None:
        """Recover what is interrupted; return why it is not, or None once it goes on.

        :param cut: why the connection is dead, where no hypervisor has said so.
        """
        rescue = self._driver.rescue
        if not self._wanted or rescue is None:
            return ""
        began = self._clock.now()
        recovery = Recovery(
            rescue, self._clock, tell=self._step, see=self._see, limit=self._seconds
        )
        verdict = await recovery.run(cut)
        self.interrupted_seconds += self._clock.now() - began
        recovered = verdict.ending is Ending.RECOVERED
        # One that found nothing to do only waited for a hypervisor whose word was behind.
        if not (recovered and self._told_recovered):
            self._step(f"{verdict.ending}: {verdict.text}")
        self._told_recovered = recovered
        self._stall.restart()
        match verdict.ending:
            case Ending.RECOVERED:
                self.recoveries += recovery.connected
                # A hypervisor's word for the state may lag behind what both sides say.
                await self._clock.sleep(_LAG_SECONDS)
                return None
            case Ending.ARRIVED:
                try:
                    await rescue.arrived()
                except PostcopyError as problem:
                    self._tell(Noted(self._clock.now(), problem.message))
                self._see(Phase.COMPLETED, verdict.text)
                return None
            case Ending.LOST:
                self._see(Phase.FAILED, verdict.text)
                self.hint = verdict.hint
        return verdict.text

    def _step(self, line: str) -> None:
        self._told_recovered = False
        self._tell(Recovered(self._clock.now(), line))
