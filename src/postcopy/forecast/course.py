"""One migration's course: pass by pass, as QEMU goes, and as a policy decides.

A pass ends when what is left would fit into the allowed downtime (``migration_iteration_run``);
then it is looked up what is dirty again, and the guest is either stopped for the rest or another
pass begins.

A course says what it waits for and is told when that was: `simulator` and `together` keep the time.
"""

import math
from collections.abc import Iterator

from postcopy.forecast.leg import Leg, Steps, Waiting, Way
from postcopy.forecast.model import Link
from postcopy.forecast.outstanding import Outstanding
from postcopy.forecast.scenario import End, Result, Scenario
from postcopy.forecast.supervision import Supervision
from postcopy.migration.decision import Action, Policy

__all__ = ["Course"]

_SETUP_SECONDS = 0.03
# Whoever switches at once does so this much later: memory is being sent when it is looked at first.
_AT_ONCE_SECONDS = 0.14
# Who has been asked so often and does nothing never will.
_MOST_LOOKS = 5000
# From this pass on, passes that are all the same are gone through several at a time, so many more
# as a share of those gone by: a policy that only waits for its time-out is asked less often.
_SAME_FROM, _SAME_SHARE = 20, 1 / 40
_SAME = 1e-3
# Below this much over the limit, the next look finds it met: bandwidth never is that even.
_NEAR_ENOUGH = 1.02
# Less than this is left by rounding only.
_NOTHING_BYTES = 1.0
_SHORTEST_POLL_SECONDS = 0.1


class Course:
    """A guest on its way; parameters are those of `simulate`."""

    def __init__(
        self,
        scenario: Scenario,
        policy: Policy,
        way: Way,
        *,
        poll_seconds: float | None,
        samples_a_pass: int,
        most_seconds: float,
    ) -> None:
        self._scenario, self._guest, self._way = scenario, scenario.guest, way
        self._poll_seconds, self._most_seconds = poll_seconds, most_seconds
        self._samples_a_pass = samples_a_pass
        self._armed = policy.uses_postcopy
        self._left = Outstanding(scenario)
        self._watch = Supervision(scenario, policy, way, self._left)
        self._now = 0.0
        self._number = 1
        self._same: float | None = None
        """How long a pass takes, if the last ones were all alike."""

    def steps(self) -> Steps:
        """Go to the end."""
        yield from self._stand(_SETUP_SECONDS)
        action: Action | None = self._look()
        if action is Action.SWITCH:
            begin, all_of_it = self._now, self._left.needed(self._left.memory_bytes)
            self._now, _ = yield Leg(begin, all_of_it, begin, begin + _AT_ONCE_SECONDS)
            self._advance(begin)
        while action is not None:
            if action is Action.SWITCH:
                return (yield from self._switch())
            if action is Action.CANCEL:
                return self._result(End.CANCELLED, self._now)
            if self._watch.looks > _MOST_LOOKS or self._now > self._most_seconds:
                return self._result(End.NEVER, math.inf)
            action = yield from (self._pass() if self._same is None else self._skip(self._same))
        return (yield from self._complete())

    def _stand(self, seconds: float) -> Waiting[None]:
        until = self._now + seconds
        yield Leg(self._now, math.inf, self._now, until, idle=True)
        self._now = until

    def _pass(self) -> Waiting[Action | None]:
        """Send until what is left fits into the limit, and look what is dirty by then.

        Returns what the policy wants; None if pre-copy ends with this pass.
        """
        way, left, begin = self._way, self._left, self._now
        to_send, steady = left.memory_bytes, self._steady
        limit = way.at(begin) * self._watch.downtime_limit
        size, earliest = left.needed(max(0.0, to_send - limit)), begin
        if left.disk_bytes > 0:  # memory waits for the disks: it is looked at now and then
            needed = way.arrival(begin, left.disk_bytes) - begin
            earliest += max(0.5, needed / 10) if needed < math.inf else 0.5
        for moment in self._moments(begin, max(way.arrival(begin, size), earliest)):
            self._now, done = yield Leg(begin, size, earliest, moment)
            if math.isinf(self._now):
                return Action.CONTINUE
            if done:
                break
            action = self._look(begin)
            if action in (Action.SWITCH, Action.CANCEL):
                self._advance(begin)
                return action
        self._advance(begin, ended=True)
        limit = way.at(self._now) * self._watch.downtime_limit
        if left.memory_bytes <= max(limit * _NEAR_ENOUGH, _NOTHING_BYTES) and left.disk_bytes <= 0:
            return None
        self._number += 1
        alike = abs(left.memory_bytes - to_send) < _SAME * to_send
        if self._number > _SAME_FROM and alike and steady and way.even_since(begin):
            self._same = self._now - begin
        return self._look()

    def _skip(self, seconds: float) -> Waiting[Action]:
        """Go through several passes that are all alike, or as many of them as are."""
        begin, passes = self._now, max(1, int(self._number * _SAME_SHARE))
        until = begin + passes * seconds
        self._now, _ = yield Leg(begin, math.inf, begin, until, alike=True)
        if self._now < until:
            self._same = None
            passes = int((self._now - begin) / seconds)
        self._number += passes
        self._left.sent_bytes += self._way.sent(begin, self._now)
        self._left.lost_seconds += self._left.throttle * (self._now - begin)
        return self._look() if passes else Action.CONTINUE

    def _moments(self, begin: float, end: float) -> Iterator[float]:
        """Return when the policy is shown what is seen in the middle of a pass.

        :param end: when the pass will have ended, as far as can be told.
        """
        if math.isinf(end):
            yield math.inf
        step = self._poll_seconds
        if step is None:
            step = max(_SHORTEST_POLL_SECONDS, (end - begin) / self._samples_a_pass)
        looks = math.ceil((end - begin) / step)
        moments = [begin + i * step for i in range(1, looks)]
        if self._watch.again_at is not None and self._watch.again_at > begin:
            moments = sorted({*moments, self._watch.again_at})
        for moment in moments:
            yield moment if moment <= self._most_seconds else math.inf
        # If it takes longer than that, the looks go on, fewer and fewer: it may be for ever.
        moment = max(begin + max(1, looks) * step, end)
        while True:
            if moment > self._now:
                yield moment if moment <= self._most_seconds else math.inf
            moment += max(step, (moment - begin) * _SAME_SHARE)

    @property
    def _steady(self) -> bool:
        """Whether nothing but the policy and the way can change what passes are like."""
        changing = self._guest.bursts or self._scenario.auto_converge
        return not changing and self._left.disk_bytes <= 0

    def _advance(self, begin: float, *, ended: bool = False) -> None:
        stopped_from = math.inf if self._watch.paused_at is None else self._watch.paused_at
        sent = self._way.sent(begin, self._now)
        self._left.advance(sent, begin, self._now, stopped_from, ended=ended)

    def _look(self, pass_began: float | None = None) -> Action:
        action = self._watch.look(self._now, self._number, pass_began)
        if action is not Action.CONTINUE:
            self._same = None
        return action

    def _complete(self) -> Steps:
        """Stop the guest and send the rest."""
        harm = self._scenario.harm
        left = self._left_at_the_end()
        rest = harm.tail_share * left
        # What is not left any more when the guest is stopped has gone before.
        before = max(0.0, left - rest)
        self._now, _ = yield Leg(self._now, before, self._now, math.inf)
        stopped_at = self._now if self._watch.paused_at is None else self._watch.paused_at
        self._now, _ = yield Leg(self._now, rest, self._now, math.inf)
        downtime = self._now - stopped_at
        yield from self._stand(harm.stop_seconds)
        self._left.send_rest(before + rest)
        freeze = downtime + harm.resume_seconds
        self._left.lost_seconds += self._guest.duty * max(0.0, freeze - harm.heard_seconds)
        if self._armed:
            downtime += harm.counted_share * harm.resume_seconds
        return self._result(End.PRECOPY, self._now, downtime=downtime, freeze=freeze)

    def _left_at_the_end(self) -> float:
        """Return what is left when pre-copy is about to end."""
        left = self._left.memory_bytes
        if self._number == 1 and self._guest.memory_bytes > 0:
            # The first pass ends while there is some of all memory left, zeros included.
            left *= self._guest.content_bytes / self._guest.memory_bytes
        return left

    def _switch(self) -> Steps:
        """Go on at the destination, and have what is missing sent after."""
        harm, left, switched_at = self._scenario.harm, self._left, self._now
        link = Link(bandwidth=self._way.at(self._now), round_trip=self._scenario.link.round_trip)
        missing = left.switched(harm, link, self._now)
        yield from self._stand(harm.stop_seconds)
        began = self._now
        self._now, _ = yield Leg(began, left.memory_bytes + left.disk_bytes, began, math.inf)
        left.send_rest(left.memory_bytes)
        harmed_until = max(self._now, switched_at + missing.freeze_seconds)
        working = self._guest.active_share(switched_at, harmed_until)
        lost = missing.lost(harm, self._now - began, link.bandwidth)
        left.lost_seconds += working * lost + (self._guest.duty - working) * harm.stop_seconds
        return self._result(
            End.POSTCOPY,
            self._now,
            downtime=round(harm.switch_seconds, 3),  # it is counted in milliseconds
            freeze=missing.freeze_seconds,
            risk=self._now - switched_at,
            switched_at=switched_at,
        )

    def _result(
        self,
        end: End,
        total: float,
        *,
        downtime: float = 0.0,
        freeze: float = 0.0,
        risk: float = 0.0,
        switched_at: float | None = None,
    ) -> Result:
        return Result(
            end=end,
            total_seconds=total,
            downtime_seconds=downtime,
            longest_freeze_seconds=freeze,
            guest_seconds_lost=self._left.lost_seconds,
            transferred_bytes=math.inf if end is End.NEVER else self._left.transferred_bytes,
            risk_seconds=risk,
            passes=self._number,
            switched_at=switched_at,
            reason=self._watch.reason,
        )
