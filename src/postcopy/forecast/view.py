"""A migration at the end of a pass, and what would come of going on from there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from postcopy.forecast.curve import Curve
from postcopy.forecast.future import Future
from postcopy.forecast.model import Harm, Link

__all__ = ["Ahead", "Tolls", "View"]

_PASSES_AHEAD = 10
# Passes while a guest works are short against how long it does.
_MOST_PASSES_TO_A_REST = 40
# A pass that brings less than this brings nothing; what is left then is left for good.
_STANDSTILL = 0.98
# How fast the guest writes is what it would dirty in so short a time.
_INSTANT_SECONDS = 0.1
_PAGE_BYTES = 4096


Tolls = list[tuple[Curve, float, Callable[[float], float]]]
"""What a switch costs, curve by curve, with the likelihood of each."""


class Ahead(NamedTuple):
    """One way in which a migration may end from here.

    :param seconds: until then.
    :param left_bytes: what is left when the guest moves.
    :param converged: whether that fits into the downtime that is allowed.
    """

    seconds: float
    left_bytes: float
    converged: bool


@dataclass(frozen=True, slots=True)
class View:
    """A migration at the end of a pass.

    :param left_bytes: the memory that the next pass would send.
    :param limit_bytes: what fits into the downtime that is allowed.
    :param floor_bytes: what fits into the downtime limit that is set: pre-copy ends there.
    :param tail_bytes: what a pass leaves unsent when it ends.
    :param most_bytes: the most that was ever left: about what the guest dirties at all.
    :param curves: how the guest may dirty memory, with the likelihood of each.
    :param luck: by which factors passes came out larger or smaller than the curve says; 1 alone for
        a guest that writes evenly.
    :param futures: when the guest will rest, with the likelihood of each way, if it was seen to.
    """

    left_bytes: float
    bandwidth: float
    limit_bytes: float
    floor_bytes: float
    tail_bytes: float
    most_bytes: float
    curves: tuple[tuple[Curve, float], ...]
    luck: tuple[float, ...]
    futures: tuple[tuple[Future, float], ...] = ()

    @property
    def here(self) -> Ahead:
        """What it would be to move the guest now."""
        return Ahead(0.0, self.left_bytes, self.left_bytes <= self.limit_bytes)

    def seconds_to_send(self, left_bytes: float) -> float:
        """Return how long post-copy would last."""
        return left_bytes / self.bandwidth

    def next_pass(
        self, curve: Curve, left_bytes: float, future: Future | None = None, at: float = 0.0
    ) -> tuple[float, float]:
        """Return how long a pass over `left_bytes` takes, and what is left then.

        :param at: when it begins, in seconds from now.
        """
        unsent = min(left_bytes, self.tail_bytes)
        seconds = (left_bytes - unsent) / self.bandwidth
        dirty = curve(seconds if future is None else future.active(at, at + seconds))
        return seconds, self._left(unsent, dirty) if unsent else dirty

    @property
    def pass_seconds(self) -> float:
        """How long the next pass takes."""
        return max(0.0, self.left_bytes - self.tail_bytes) / self.bandwidth

    def outstanding(
        self,
        curve: Curve,
        seconds: float,
        future: Future | None = None,
        left_bytes: float | None = None,
        at: float = 0.0,
    ) -> float:
        """Return what is left if the next pass is broken off after so long.

        Of what it has sent, as much is dirty again as of all that it would send.

        :param left_bytes: what that pass sends, if it is a later one that begins `at` some time.
        """
        to_send = self.left_bytes if left_bytes is None else left_bytes
        sent = min(self.bandwidth * seconds, to_send)
        dirty = curve(future.active(at, at + seconds) if future else seconds)
        return self._left(to_send - sent, dirty)

    def _left(self, unsent: float, dirty: float) -> float:
        """Return what is left in all: some of what was dirtied was still to be sent anyway."""
        most = self.most_bytes
        return unsent + dirty * (1 - unsent / most) if unsent < most else unsent

    def at_limit(self, curve: Curve, future: Future | None = None) -> Ahead:
        """Return how the next pass ends if all of the downtime that is allowed may be used.

        It then ends while as much is unsent as fits into that, so that less is dirtied meanwhile.
        """
        unsent = min(self.left_bytes, self.limit_bytes)
        seconds = (self.left_bytes - unsent) / self.bandwidth
        dirty = curve(future.active(0.0, seconds) if future else seconds)
        left = self._left(unsent, dirty)
        return Ahead(seconds, left, left <= self.limit_bytes)

    def ends(self, curve: Curve, luck: float = 1.0, future: Future | None = None) -> list[Ahead]:
        """Return how it would end if one more pass was made, two more, and so on.

        Of a guest that rests now and then, also if a pass was broken off where its rest ends.

        :param luck: what the first of them comes out at, against what the curve says.
        """
        found: list[Ahead] = []
        at, left = 0.0, self.left_bytes
        rests_end = future.rests_end if future is not None else ()
        for _ in range(_PASSES_AHEAD if future is None else _MOST_PASSES_TO_A_REST):
            seconds, after = self.next_pass(curve, left, future, at)
            if rests_end and found:  # the pass that comes next is looked at by itself
                for rest in rests_end:
                    if at < rest < at + seconds:
                        unsent = self.outstanding(curve, rest - at, future, left, at)
                        found.append(Ahead(rest, unsent, False))
            after *= luck
            luck = 1.0
            at += seconds
            found.append(Ahead(at, after, after <= self.limit_bytes))
            if after <= self.floor_bytes:
                break
            if after > _STANDSTILL * left and not (rests_end and rests_end[-1] > at):
                break
            left = after
        return found

    def tolls(self, harm: Harm) -> Tolls:
        """Return each curve, its likelihood, and what tells what a switch would cost if it is so.

        That takes the bytes that are left, and returns guest-seconds, of a guest at work.
        """
        latency = harm.latency(Link(bandwidth=self.bandwidth), 0.0, _PAGE_BYTES)
        least, most = (harm.freeze(latency, share, 0.0) for share in (0.0, 1.0))
        return [
            (curve, weight, self._toll(curve, harm, latency, least, most - least))
            for curve, weight in self.curves
        ]

    def _toll(
        self, curve: Curve, harm: Harm, latency: float, least: float, more: float
    ) -> Callable[[float], float]:
        """Return what a switch costs a guest of that curve.

        :param least: its longest freeze if nothing hot is missing.
        :param more: how much longer that is if all of it is.
        """
        # Asked for hundreds of times a pass: what does not hang on what is left is known before.
        waits = curve(_INSTANT_SECONDS) / _INSTANT_SECONDS / _PAGE_BYTES * latency
        sweep = curve.sweep_rate
        stalled = harm.stalled(1.0, sweep, self.bandwidth) if sweep else 0.0
        size, bandwidth = curve.size_bytes, self.bandwidth
        stop, slows = harm.stop_seconds, harm.lost

        def lost(left_bytes: float) -> float:
            seconds = left_bytes / bandwidth
            share = left_bytes / size if left_bytes < size else 1.0
            slowed = slows(seconds, waits * share)
            if sweep:
                # What goes straight on looks like a sweep, and may be slow writes at random too.
                slowed = (slowed + share * stalled * seconds) / 2
            return max(stop + slowed, least + more * share)

        return lost
