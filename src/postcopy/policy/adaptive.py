"""Go on with pre-copy while that is worth its time; else switch, when the least is outstanding.

Optimal stopping over the model of `postcopy.forecast`, refitted from the passes seen. A second of
migration is worth `price` guest-seconds. At each pass's end it weighs switching now against going
on, for every way in which the guest may dirty its memory that fits the passes so far. A guest that
lets pre-copy converge is spared post-copy; one that writes in bursts is switched in a lull.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from postcopy.forecast.model import Harm, Link
from postcopy.forecast.refit import view_of
from postcopy.forecast.rhythm import rhythm_of
from postcopy.forecast.view import View
from postcopy.migration.decision import Action, Decision, History
from postcopy.migration.sample import Sample
from postcopy.policy import weighing
from postcopy.policy.parameters import parameter
from postcopy.policy.weighing import Terms, Weighed
from postcopy.units import format_bytes, format_rate, format_seconds

__all__ = ["Adaptive"]

# Disks that need longer than this are still being copied, and not just kept up to date. So are
# those that need longer than the second if a pass leaves no more of them than the third.
_DISK_SECONDS, _DISK_LEAST_SECONDS, _DISK_FEWER = 1.0, 0.05, 0.75
# A deadline is met with this much to spare: what is outstanding is only known at a pass's end.
_SPARE_SHARE, _SPARE_SECONDS = 1.1, 0.3
# In the first pass: how much of what has been sent is taken to be dirty again.
_DIRTY_AGAIN = 0.25
# The stop to begin with. Device state and the hand-over take about as long by themselves.
_SHORT_STOP_SECONDS = 0.03
# Whoever pays this for a second, in guest-seconds, does not wait for a shorter stop.
_HURRY = 0.8
# A guest that is said to rest, and has not for one pass more, is believed so much less.
_DOUBT = 0.85
_PAGE_BYTES = 4096
# Waiting within a pass never saves more than a part, 1/e of what is outstanding.
_MOST_BY_WAITING = 0.4
# A pass that leaves this part of what others left has brought something.
_LESS = 0.8
# Whoever goes on may wait later as well, but for where pre-copy then ends: waiting now counts in
# full against those ends alone, and else for so much.
_WAIT_COUNTS = 0.5
# Of a guest at rest, a switch spares the short stop of pre-copy's end, and nothing else. It is
# worth its risk if it saves so much of what it costs.
_WORTH_A_SWITCH = 0.2
# What a requested page is taken to cost at the least, on links of any speed: they cost less on fast
# ones, where a switch would be as cheap as pre-copy's own end, were it not for its risk.
_REQUEST_SECONDS = 2.5e-3
# A sample that comes this much too early still counts.
_EARLY_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Weigh guest time against time."""

    name: ClassVar[str] = "adaptive"
    uses_postcopy: ClassVar[bool] = True

    price: float = parameter(0.1, "guest-seconds that a second of migration is worth")
    deadline: float | None = parameter(None, "seconds after the start by which it must have ended")
    max_freeze: float | None = parameter(None, "seconds that the guest may freeze at most")
    max_risk: float | None = parameter(None, "seconds of post-copy at most")
    preempt: bool = parameter(True, "whether requested pages overtake others")
    rest: float = parameter(0.0, "the share of the time in which the guest rests, as measured")
    lull: float | None = parameter(None, "how long it rests at a time, in seconds", least=0.001)

    def decide(self, history: History) -> Decision:
        """Decide at passes' ends, and in between only when the moment has come, or the deadline."""
        latest = history.latest
        if latest is None:
            return Decision(Action.CONTINUE, "nothing is known yet")
        if (limit := self._first_limit(history)) < history.downtime_limit:
            reason = (
                f"a stop of {format_seconds(limit)} will do, unless it takes too long to get to"
            )
            return Decision(Action.LIMIT_DOWNTIME, reason, limit)
        if (pressed := self._deadline(history, latest)) is not None:
            return pressed
        if not history.passes:
            return Decision(Action.CONTINUE, "the first pass is under way")
        # What was decided at the last pass's end still holds, if it was to wait for the moment.
        decided = history.once_a_pass(self._at_pass_end)
        if latest.pass_ended:
            return decided
        ended = history.passes[-1]
        if decided.again_seconds is None:
            return Decision(Action.CONTINUE, "a pass is under way")
        rhythm = rhythm_of(history)
        rests = rhythm.resting(ended.at) if rhythm is not None else None
        # Whoever waits for a lull's end, and sees the guest at work again, waits no longer.
        early = latest.at - ended.at < decided.again_seconds - _EARLY_SECONDS
        if early and rests is not False:
            return decided
        return Decision(Action.SWITCH, decided.reason)

    def _at_pass_end(self, history: History) -> Decision:
        latest = history.passes[-1]
        left, allowed = latest.remaining_bytes, self._allowed(history)
        fits = left <= history.bandwidth * allowed
        if fits and history.downtime_limit >= allowed:
            return Decision(
                Action.CONTINUE,
                f"the {format_bytes(left)} left fit into a stop of"
                f" {format_seconds(allowed)}: pre-copy ends by itself",
            )
        if _copies_disks(history):
            disks = format_bytes(latest.disk_remaining_bytes)
            return Decision(Action.CONTINUE, f"disks are still being copied, {disks} to go")
        view = view_of(history, allowed)
        if view is None:
            return Decision(Action.CONTINUE, "nothing is being sent: after a switch it would wait")
        chances = weighing.chances(view, self._lull_ahead(history, view))
        tolls = view.tolls(self._harm)
        terms = Terms(self.price, self._harm.resume_seconds, self._seconds_left(history))
        weighed = weighing.weigh(view, tolls, chances, terms)
        passes = _passes(history)
        if len(chances) > 1 and self._hoped(history, latest) > weighed.stop:
            weighed = replace(weighed, saved=0.0)
        # What fits into a stop needs no switch, and a lull may be over at any moment.
        known = len(chances) == 1 or bool(view.futures)
        waits = not fits and known and weighed.saved < _MOST_BY_WAITING * weighed.stop
        wait, gained = weighing.wait(view, tolls, chances, self.price) if waits else (0.0, 0.0)
        if not fits and history.downtime_limit < allowed:
            last = weighing.at_limit(view, tolls, chances, terms)
            if last > max(weighed.saved, gained, 0.0):
                reason = (
                    f"with a stop of {format_seconds(allowed)} the next pass may be the last,"
                    " and less is not worth the time"
                )
                return Decision(Action.LIMIT_DOWNTIME, reason, allowed)
        risk = _WORTH_A_SWITCH * weighed.stop * weighed.converging if view.futures else 0.0
        if weighed.saved + risk > gained * max(weighed.converging, _WAIT_COUNTS):
            return Decision(Action.CONTINUE, weighed.say(passes, self.price))
        if fits:
            return Decision(
                Action.LIMIT_DOWNTIME,
                f"the {format_bytes(left)} left fit into a stop of"
                f" {format_seconds(view.seconds_to_send(left))}, and less is not worth the time",
                allowed,
            )
        if (bound := self._forbidden(view)) is not None:
            return Decision(Action.CONTINUE, bound)
        why = _why(history, view, weighed, passes)
        if wait > 0:
            least = f"; the least is outstanding {format_seconds(wait)} after the pass"
            return Decision(Action.CONTINUE, why + least, again_seconds=wait)
        return Decision(Action.SWITCH, why)

    def _allowed(self, history: History) -> float:
        """Return for how long the guest may stand still at a pre-copy switchover."""
        allowed = history.allowed_downtime
        return allowed if self.max_freeze is None else min(allowed, self.max_freeze)

    def _first_limit(self, history: History) -> float:
        """Return the downtime limit to begin with.

        It is far less than what is allowed: a guest that converges anyway then stops for a moment
        only. As soon as that is not worth its time any more, what is allowed is used.
        """
        allowed = self._allowed(history)
        short = not history.passes and self.price < _HURRY
        return min(allowed, _SHORT_STOP_SECONDS) if short else allowed

    def _lull_ahead(self, history: History, view: View) -> float:
        """Return how likely it is that the guest rests for all of the next pass."""
        believed = min(1.0, self.rest) * _DOUBT ** max(0, len(history.passes) - 2)
        if self.lull is None:
            return believed
        return believed * max(0.0, 1 - view.seconds_to_send(view.left_bytes) / self.lull)

    def _hoped(self, history: History, latest: Sample) -> float:
        """Return what the passes that brought no less have cost, in guest-seconds.

        Whoever hopes for a lull, and gives up once that has cost as much as it could save, never
        pays more than twice for a switch. Passes that shrink are not hope.
        """
        least = history.passes[0]
        for one in history.passes[1:]:
            if one.remaining_bytes < _LESS * least.remaining_bytes:
                least = one
        return self.price * (latest.at - least.at)

    @property
    def _harm(self) -> Harm:
        """What a switch is taken to cost: no less than it does, for it may go wrong."""
        return Harm(preempt=self.preempt, request_bytes=0.0, request_seconds=_REQUEST_SECONDS)

    def _seconds_left(self, history: History) -> float | None:
        return None if self.deadline is None else self.deadline - history.elapsed_seconds

    def _deadline(self, history: History, latest: Sample) -> Decision | None:
        """Switch as late as the deadline allows, also in the middle of a pass."""
        left = self._seconds_left(history)
        if left is None or self.deadline is None:
            return None
        bandwidth = history.bandwidth or latest.bandwidth
        if bandwidth <= 0:
            return None
        outstanding = float(latest.remaining_bytes)
        if not latest.pass_ended:
            outstanding += self._dirty_meanwhile(history, latest)
        needed = min(outstanding, history.memory_bytes) / bandwidth
        if left > needed * _SPARE_SHARE + _SPARE_SECONDS:
            return None
        reason = (
            f"the deadline of {format_seconds(self.deadline)} decides: what is outstanding takes"
            f" {format_seconds(needed)}"
        )
        if needed <= (allowed := self._allowed(history)):
            # It fits into a stop: pre-copy ends, if it may.
            enough = history.downtime_limit >= allowed
            return None if enough else Decision(Action.LIMIT_DOWNTIME, reason, allowed)
        forbidden = self._too_risky(needed) or self._too_frozen(bandwidth, len(history.passes) < 1)
        if forbidden is None:
            return Decision(Action.SWITCH, reason)
        if left > 0:
            return Decision(Action.CONTINUE, forbidden)
        return Decision(Action.CANCEL, f"the deadline is over, and {forbidden}")

    def _dirty_meanwhile(self, history: History, latest: Sample) -> float:
        view = view_of(history)
        if view is None:
            return _DIRTY_AGAIN * latest.transferred_bytes
        gone = latest.at - history.passes[-1].at
        return sum(weight * curve(gone) for curve, weight in view.curves)

    def _forbidden(self, view: View) -> str | None:
        seconds = view.seconds_to_send(view.left_bytes)
        return self._too_risky(seconds) or self._too_frozen(view.bandwidth, first_pass=False)

    def _too_risky(self, seconds: float) -> str | None:
        if self.max_risk is None or seconds <= self.max_risk:
            return None
        return (
            f"the risk decides: {format_seconds(seconds)} of post-copy are more than the"
            f" {format_seconds(self.max_risk)} allowed"
        )

    def _too_frozen(self, bandwidth: float, first_pass: bool) -> str | None:
        if self.max_freeze is None:
            return None
        harm = Harm(preempt=self.preempt)
        latency = harm.latency(Link(bandwidth=bandwidth), 0.0, _PAGE_BYTES)
        freeze = harm.freeze(latency, 1.0, 1.0 if first_pass else 0.0)
        if freeze <= self.max_freeze:
            return None
        return (
            f"the freeze decides: a switch would freeze the guest for {format_seconds(freeze)},"
            f" more than the {format_seconds(self.max_freeze)} allowed"
        )


def _copies_disks(history: History) -> bool:
    """Whether disks are still being copied, which takes a part of the way."""
    left = history.passes[-1].disk_remaining_bytes
    if left <= history.bandwidth * _DISK_LEAST_SECONDS:
        return False
    before = history.passes[-2].disk_remaining_bytes if len(history.passes) > 1 else math.inf
    return left > history.bandwidth * _DISK_SECONDS or left < _DISK_FEWER * before


def _passes(history: History) -> str:
    return " -> ".join(format_bytes(one.remaining_bytes) for one in history.passes[-2:])


def _why(history: History, view: View, weighed: Weighed, passes: str) -> str:
    left = format_bytes(view.left_bytes)
    if len(history.passes) == 1:
        seconds = history.passes[0].at - (history.started_at or 0.0)
        rate = format_rate(view.left_bytes / seconds) if seconds > 0 else "any rate"
        return (
            f"passes will not shrink: {left} became dirty at {rate} or more, and"
            f" {format_rate(view.bandwidth)} are sent"
        )
    if len(view.luck) > 1:
        return f"passes go up and down, and this one is low: {passes}"
    if view.left_bytes >= history.passes[-2].remaining_bytes:
        return f"passes do not shrink: {passes}"
    return (
        f"passes shrink too slowly: {passes}; going on would take {format_seconds(weighed.seconds)}"
        " more and not be worth it"
    )
