"""Migrations that take no time: the model of `model`, and any policy, deciding as in earnest.

Pass by pass, as QEMU does it: a pass ends when what is left would fit into the allowed downtime
(``migration_iteration_run``); then it is looked up what is dirty again, and the guest is either
stopped for the rest or another pass begins. The policy is asked with the samples that a supervisor
would show it.
"""

import enum
import math
from dataclasses import dataclass

from postcopy.forecast.model import Guest, Harm, Link
from postcopy.migration.decision import Action, Decision, History, Policy
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample

__all__ = ["End", "Result", "Scenario", "simulate"]

_SETUP_SECONDS = 0.03
# Who has been asked so often and does nothing never will.
_MOST_LOOKS = 5000
# From this pass on, passes that are all the same are gone through several at a time, so many more
# as a share of those gone by: a policy that only waits for its time-out is asked less often.
_SAME_FROM, _SAME_SHARE = 20, 1 / 40
_SAME = 1e-3
_MOST_SECONDS = 3e7
# Below this much over the limit, the next look finds it met: bandwidth never is that even.
_NEAR_ENOUGH = 1.02
_SHORTEST_POLL_SECONDS = 0.1

# QEMU's auto-converge: 'cpu-throttle-initial', '-increment' and 'max-cpu-throttle' in
# qapi/migration.json, and 'throttle-trigger-threshold'.
_THROTTLE_FIRST, _THROTTLE_STEP, _THROTTLE_MOST, _THROTTLE_TRIGGER = 0.2, 0.1, 0.99, 0.5


class End(enum.StrEnum):
    """How a simulated migration ends."""

    PRECOPY = "pre-copy"
    POSTCOPY = "post-copy"
    CANCELLED = "cancelled"
    NEVER = "never"
    """It would go on for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A guest to be moved over a link."""

    guest: Guest
    link: Link
    harm: Harm = Harm()  # noqa: RUF009 - frozen, and so no trap
    downtime_limit: float = 0.3
    auto_converge: bool = False
    looks: tuple[tuple[float, float], ...] = ()
    """What was measured of the guest before, as `History` takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of it. Seconds, bytes; infinite where it never ends."""

    end: End
    total_seconds: float
    downtime_seconds: float
    longest_freeze_seconds: float
    guest_seconds_lost: float
    transferred_bytes: float
    risk_seconds: float
    """How long the guest lived on two hosts at once."""
    passes: int
    switched_at: float | None
    reason: str
    """The last that the policy said."""

    def cost(self, price: float) -> float:
        """Return it in guest-seconds, a second of migration being worth `price` of them."""
        return price * self.total_seconds + self.guest_seconds_lost


def simulate(
    scenario: Scenario,
    policy: Policy,
    *,
    poll_seconds: float | None = None,
    samples_a_pass: int = 8,
    most_seconds: float = _MOST_SECONDS,
) -> Result:
    """Move the guest.

    :param poll_seconds: time between samples within a pass. A policy that polls by itself is only
        true to life if this is no longer than its own interval.
    :param samples_a_pass: how many there are if `poll_seconds` is None, the pass's end included. A
        policy without a clock needs no others.
    :param most_seconds: what has not ended by then never does.
    """
    return _Run(scenario, policy, poll_seconds, samples_a_pass, most_seconds).run()


class _Run:
    def __init__(
        self,
        scenario: Scenario,
        policy: Policy,
        poll_seconds: float | None,
        samples_a_pass: int,
        most_seconds: float,
    ) -> None:
        guest = scenario.guest
        self.scenario, self.guest, self.link = scenario, guest, scenario.link
        self.policy, self.poll_seconds, self.most_seconds = policy, poll_seconds, most_seconds
        self.samples_a_pass = samples_a_pass
        self.history = History(scenario.downtime_limit, scenario.looks)
        self.sets = guest.dirty.sets
        self.now = _SETUP_SECONDS
        self.number = 1
        # What is still to be sent of each hot set, and of the rest.
        self.hot = [each.size_bytes for each in self.sets]
        self.cold = max(0.0, guest.content_bytes - sum(self.hot))
        self.disk = guest.disk_bytes
        self.sent = 0.0
        self.before = self.sent, self.disk
        """Both as the pass began."""
        self.lost = 0.0
        self.throttle = 0.0
        self.high_passes = 0
        self.same: float | None = None
        """How long a pass takes, if the last ones were all alike."""
        self.again_at: float | None = None
        """When the policy wants to be asked again."""
        self.looks = 0
        self.paused_at: float | None = None
        self.reason = ""

    def run(self) -> Result:
        ended = self._look(sum(self.hot) + self.cold)
        while ended is None:
            if self.looks > _MOST_LOOKS or self.now > self.most_seconds:
                return self._result(End.NEVER, math.inf)
            ended = self._pass() if self.same is None else self._skip(self.same)
        return ended

    def _skip(self, seconds: float) -> Result | None:
        """Go through several passes that are all alike."""
        passes = max(1, int(self.number * _SAME_SHARE))
        self.number += passes
        self.now += passes * seconds
        self.sent += passes * self.link.sent(0.0, seconds)
        self.lost += passes * self.throttle * seconds
        return self._look(sum(self.hot) + self.cold, pass_ended=True)

    def _pass(self) -> Result | None:
        """Send until what is left fits into the limit, and look what is dirty by then."""
        begin, to_send, steady = self.now, sum(self.hot) + self.cold, self._steady
        limit = self.link.at(begin) * self.history.downtime_limit
        end = self._when_sent(begin, max(0.0, to_send - limit))
        if self.disk > 0:  # memory waits for the disks: it is looked at now and then
            end = max(end, begin + max(0.5, (self.link.arrival(begin, self.disk) - begin) / 10))
        if math.isinf(end):
            return self._result(End.NEVER, math.inf)
        ended = self._poll(begin, end, to_send)
        if ended is not None:
            return ended
        self._advance(begin, end, to_send)
        left = sum(self.hot) + self.cold
        bandwidth = self.link.at(end)
        if left <= bandwidth * self.history.downtime_limit * _NEAR_ENOUGH and self.disk <= 0:
            return self._complete(self._tail(left) / bandwidth)
        self.number += 1
        if self.number > _SAME_FROM and abs(left - to_send) < _SAME * to_send and steady:
            self.same = end - begin
        return self._look(left, pass_ended=True)

    def _tail(self, left: float) -> float:
        """Return what is really sent of the rest that is left when pre-copy ends."""
        if self.number == 1 and self.guest.memory_bytes > 0:
            # The first pass ends while there is some of all memory left, zeros included.
            left *= self.guest.content_bytes / self.guest.memory_bytes
        return left * self.scenario.harm.tail_share

    @property
    def _steady(self) -> bool:
        """Whether nothing but the policy can change what passes are like."""
        changing = self.link.changes or self.guest.bursts or self.scenario.auto_converge
        return not changing and self.disk <= 0

    def _poll(self, begin: float, end: float, to_send: float) -> Result | None:
        """Show the policy what is seen in the middle of a pass."""
        step = self.poll_seconds
        if step is None:
            step = max(_SHORTEST_POLL_SECONDS, (end - begin) / self.samples_a_pass)
        sent, disk = self.before = self.sent, self.disk
        moments = [begin + i * step for i in range(1, math.ceil((end - begin) / step))]
        if self.again_at is not None and self.again_at > begin:
            moments = sorted({*moments, self.again_at})
        for moment in moments:
            self.now = moment
            if self.now >= end or self.now > self.most_seconds:
                break
            memory, self.disk = self._carried(begin, self.now, disk)
            self.sent = sent + memory
            decision = self._ask(max(0.0, to_send - memory))
            ended = self._obey(decision, begin, to_send)
            if ended is not None:
                return ended
        self.now, self.sent, self.disk = end, sent, disk
        return None

    def _advance(self, begin: float, end: float, to_send: float) -> None:
        """Take account of what was sent and dirtied from `begin` to `end`, within one pass."""
        memory, self.disk = self._carried(begin, end, self.disk)
        self.now = end
        self.sent += min(memory, to_send)
        unsent = max(0.0, 1 - memory / to_send) if to_send > 0 else 0.0
        active = self.guest.active_seconds(begin, min(end, self._stopped_from()))
        active = max(0.0, active) * (1 - self.throttle)
        dirtied = 0.0
        for i, each in enumerate(self.sets):
            pending = self.hot[i] * unsent
            fresh = each.dirtied(active)
            dirtied += fresh
            # Of what was dirtied, some was still to be sent anyway.
            self.hot[i] = pending + (1 - pending / each.size_bytes) * fresh if fresh else pending
        self.cold *= unsent
        self.lost += self.throttle * (end - begin)
        if self.scenario.auto_converge:
            self._converge(dirtied, memory)

    def _converge(self, dirtied: float, sent: float) -> None:
        self.high_passes += dirtied > _THROTTLE_TRIGGER * sent
        if self.high_passes >= 2:
            self.high_passes = 0
            step = _THROTTLE_STEP if self.throttle else _THROTTLE_FIRST
            self.throttle = min(_THROTTLE_MOST, self.throttle + step)

    def _stopped_from(self) -> float:
        return math.inf if self.paused_at is None else self.paused_at

    def _when_sent(self, begin: float, size: float) -> float:
        if self.disk <= 0:
            return self.link.arrival(begin, size)
        # Disks and memory share the link evenly until the smaller of them has gone.
        together = self.link.arrival(begin, 2 * min(size, self.disk))
        return together if size <= self.disk else self.link.arrival(together, size - self.disk)

    def _carried(self, begin: float, end: float, disk: float) -> tuple[float, float]:
        """Return the memory sent, and the disk that is left."""
        total = self.link.sent(begin, end)
        disk_sent = min(disk, total / 2)
        return total - disk_sent, disk - disk_sent

    def _look(self, left: float, pass_ended: bool = False) -> Result | None:
        return self._obey(self._ask(left, pass_ended), self.now, left)

    def _ask(self, left: float, pass_ended: bool = False) -> Decision:
        self.looks += 1
        bandwidth = self.link.at(self.now)
        self.history.add(
            Sample(
                at=self.now,
                phase=Phase.PRECOPY,
                pass_number=self.number,
                pass_ended_at=self.now if pass_ended else None,
                total_bytes=round(self.guest.memory_bytes),
                remaining_bytes=round(left),
                disk_total_bytes=round(self.guest.disk_bytes),
                disk_remaining_bytes=round(self.disk),
                transferred_bytes=round(self.sent),
                bandwidth=bandwidth / 2 if self.disk > 0 else bandwidth,
            )
        )
        return self.policy.decide(self.history)

    def _obey(self, decision: Decision, pass_began: float, to_send: float) -> Result | None:
        self.reason = decision.reason
        if decision.again_seconds is not None and self.now <= pass_began:
            self.again_at = self.now + decision.again_seconds
        if decision.action is not Action.CONTINUE:
            self.same = None
        match decision.action:
            case Action.SWITCH:
                if self.now > pass_began:
                    self.sent, self.disk = self.before
                    self._advance(pass_began, self.now, to_send)
                return self._switch()
            case Action.CANCEL:
                return self._result(End.CANCELLED, self.now)
            case Action.PAUSE:
                self.history.paused = True
                self.paused_at = self.now
            case Action.LIMIT_DOWNTIME if decision.downtime_limit is not None:
                self.history.downtime_limit = decision.downtime_limit
        return None

    def _complete(self, stop_seconds: float) -> Result:
        downtime = self.scenario.harm.stop_seconds + stop_seconds
        total = self.now + downtime
        if self.paused_at is not None:
            downtime = total - self.paused_at
        self.sent += stop_seconds * self.link.at(self.now)
        self.lost += downtime
        return self._result(End.PRECOPY, total, downtime=downtime, freeze=downtime)

    def _switch(self) -> Result:
        harm, guest = self.scenario.harm, self.guest
        left = sum(self.hot) + self.cold + self.disk
        began = self.now + harm.stop_seconds
        arrived = self.link.arrival(began, left)
        latency = harm.latency(self.link, self.now, guest.page_bytes)
        size = sum(each.size_bytes for each in self.sets)
        cold_size = guest.content_bytes - size
        hot_missing = sum(self.hot) / size if size > 0 else 0.0
        cold_missing = self.cold / cold_size if cold_size > 0 else 0.0
        touches = sum(
            each.rate / guest.page_bytes * pending / each.size_bytes
            for each, pending in zip(self.sets, self.hot, strict=True)
            if each.size_bytes > 0
        )
        touches += harm.read_rate * cold_missing
        duty = guest.bursts.duty if guest.bursts else 1.0
        self.lost += harm.stop_seconds + harm.lost(arrived - began, touches * duty * latency)
        self.sent, self.disk = self.sent + left - self.disk, 0.0
        return self._result(
            End.POSTCOPY,
            arrived,
            downtime=harm.switch_seconds,
            freeze=harm.freeze(latency, hot_missing, cold_missing),
            risk=arrived - self.now,
            switched_at=self.now,
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
        never = end is End.NEVER
        return Result(
            end=end,
            total_seconds=total,
            downtime_seconds=downtime,
            longest_freeze_seconds=freeze,
            guest_seconds_lost=self.lost,
            transferred_bytes=math.inf if never else self.sent + self.guest.disk_bytes - self.disk,
            risk_seconds=risk,
            passes=self.number,
            switched_at=switched_at,
            reason=self.reason,
        )
