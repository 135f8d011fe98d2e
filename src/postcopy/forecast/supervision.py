"""A policy that is asked with the samples that a supervisor would show it."""

from postcopy.forecast.leg import Way
from postcopy.forecast.outstanding import Outstanding
from postcopy.forecast.scenario import Scenario
from postcopy.forecast.watching import Watching
from postcopy.migration.decision import Action, History, Policy
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Look, Sample

__all__ = ["Supervision"]


class Supervision:
    """Who looks at one migration, and what the policy made of it.

    :param left: what there is to be seen.
    """

    def __init__(self, scenario: Scenario, policy: Policy, way: Way, left: Outstanding) -> None:
        self._guest, self._policy, self._way, self._left = scenario.guest, policy, way, left
        self._history = History(scenario.downtime_limit, scenario.looks)
        self._watched = scenario.watched
        self._watching: Watching | None = None
        self.looks = 0
        self.again_at: float | None = None
        """When the policy wants to be asked again."""
        self.paused_at: float | None = None
        """When it stopped the guest."""
        self.reason = ""
        """The last that it said."""

    @property
    def downtime_limit(self) -> float:
        """How long the guest may stand still when pre-copy ends, in seconds, as it is set now."""
        return self._history.downtime_limit

    def look(self, now: float, number: int, pass_began: float | None = None) -> Action:
        """Show the policy what is seen now, and do what needs no time of what it wants.

        :param number: the pass that is being sent.
        :param pass_began: if that is in the middle of a pass.
        """
        self.looks += 1
        self._history.add(self._sample(now, number, pass_began))
        decision = self._policy.decide(self._history)
        self.reason = decision.reason
        if decision.again_seconds is not None and pass_began is None:
            self.again_at = now + decision.again_seconds
        if decision.action is Action.PAUSE:
            self._history.paused = True
            self.paused_at = now
        if decision.action is Action.LIMIT_DOWNTIME and decision.downtime_limit is not None:
            self._history.downtime_limit = decision.downtime_limit
        return decision.action

    def _sample(self, now: float, number: int, pass_began: float | None) -> Sample:
        left, bandwidth = self._left, self._way.at(now)
        memory, disk = 0.0, left.disk_bytes
        if pass_began is not None:
            memory, disk = left.carried(self._way.sent(pass_began, now))
        return Sample(
            at=now,
            phase=Phase.PRECOPY,
            pass_number=number,
            pass_ended_at=now if pass_began is None and self.looks > 1 else None,
            total_bytes=round(self._guest.memory_bytes),
            remaining_bytes=round(max(0.0, left.memory_bytes - memory)),
            disk_total_bytes=round(self._guest.disk_bytes),
            disk_remaining_bytes=round(disk),
            transferred_bytes=round(left.sent_bytes + memory),
            bandwidth=bandwidth / 2 if disk > 0 else bandwidth,
            looks=self._looked(now, bandwidth),
        )

    def _looked(self, now: float, bandwidth: float) -> tuple[Look, ...]:
        if not self._watched or bandwidth <= 0:
            return ()
        if self._watching is None:
            self._watching = Watching(self._guest, now)
        return self._watching.until(now, self._left.memory_bytes / bandwidth)
