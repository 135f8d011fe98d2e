"""A guest and a link, as far as a migration is concerned, and what post-copy does to the guest."""

import math
from dataclasses import dataclass

from postcopy.forecast.curve import Curve

__all__ = ["PAYLOAD", "Bursts", "Guest", "Harm", "Link"]

PAYLOAD = 0.952
"""Headers take the rest of a link (TCP over Ethernet, frames of 1500 bytes)."""


@dataclass(frozen=True, slots=True)
class Bursts:
    """A guest that writes for a part of each period and rests for the other.

    :param duty: that part, above 0 and at most 1.
    :param offset_seconds: how far into a period the migration begins.
    """

    duty: float
    period_seconds: float
    offset_seconds: float = 0.0

    def active_seconds(self, begin: float, end: float) -> float:
        """Return for how much of a time the guest writes."""
        return self._until(end + self.offset_seconds) - self._until(begin + self.offset_seconds)

    def _until(self, at: float) -> float:
        whole, rest = divmod(at, self.period_seconds)
        on = self.duty * self.period_seconds
        return whole * on + min(rest, on)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """What a migration has to carry.

    :param memory_bytes: the guest's memory.
    :param content_bytes: the part of it that is not zeros; the rest costs next to nothing.
    :param dirty: how it rewrites its memory.
    :param disk_bytes: disks that are copied along.
    :param page_bytes: 4 KiB, or that of huge pages.
    """

    memory_bytes: float
    content_bytes: float
    dirty: Curve
    bursts: Bursts | None = None
    disk_bytes: float = 0.0
    page_bytes: int = 4096

    def active_seconds(self, begin: float, end: float) -> float:
        """Return for how long of a time, in seconds since the start, the guest writes."""
        return self.bursts.active_seconds(begin, end) if self.bursts else end - begin

    @property
    def duty(self) -> float:
        """For which part of its time it writes, in the long run.

        So much of a stop is lost, whenever it comes: the guest's clock stands still, and all that
        it does comes later.
        """
        return self.bursts.duty if self.bursts else 1.0

    def active_share(self, begin: float, end: float) -> float:
        """Return for which part of a time the guest writes: at rest it misses nothing."""
        return self.active_seconds(begin, end) / (end - begin) if end > begin else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What carries it.

    :param bandwidth: bytes a second that come through, headers taken off.
    :param round_trip: in seconds.
    :param changes: from when on, in seconds since the start, it carries how much instead.
    """

    bandwidth: float
    round_trip: float = 2e-4
    changes: tuple[tuple[float, float], ...] = ()

    def at(self, seconds: float) -> float:
        """Return the bandwidth at a moment."""
        bandwidth = self.bandwidth
        for since, changed in self.changes:
            if seconds >= since:
                bandwidth = changed
        return bandwidth

    def sent(self, begin: float, end: float) -> float:
        """Return the bytes that go through between two moments."""
        if not self.changes:
            return self.bandwidth * (end - begin)
        total, at = 0.0, begin
        for since, _ in self.changes:
            if at < since < end:
                total, at = total + self.at(at) * (since - at), since
        return total + self.at(at) * (end - at)

    def arrival(self, begin: float, size: float) -> float:
        """Return when bytes that are sent from `begin` on have all gone."""
        at = begin
        for since, _ in self.changes:
            if at < since:
                bandwidth = self.at(at)
                if bandwidth * (since - at) >= size:
                    return at + size / bandwidth
                size, at = size - bandwidth * (since - at), since
        bandwidth = self.at(at)
        return at + size / bandwidth if bandwidth > 0 else math.inf

    def even_since(self, begin: float) -> bool:
        """Return whether bandwidth has stayed what it is; False if it is ever to change."""
        return not self.changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """What a switch costs a guest. The defaults are those of QEMU 10 on 1 Gb/s, measured.

    :param stop_seconds: device state and the hand-over, whatever the memory.
    :param resume_seconds: how long a guest that was stopped for the last of its memory is at rest,
        besides what hypervisors call the downtime.
    :param counted_share: of that, what they call downtime all the same where post-copy might have
        been used: the source then waits for the destination to say that it runs.
    :param heard_seconds: by how much a freeze is longer, as it is heard from outside, than the
        guest was at rest: it says every 20 ms that it runs (`postcopy.lab.work`).
    :param switch_seconds: the part of `stop_seconds` that hypervisors call a switch's downtime:
        until the source has sent the devices' state.
    :param tail_share: of what may be left when pre-copy ends, the part that is: QEMU looks only
        now and then.
    :param queue_bytes: what is in front of a requested page on the one connection.
    :param preempt: whether requested pages have a connection of their own.
    :param request_bytes: what is in front of it all the same, with it: packets that the source has
        handed to its link.
    :param request_seconds: what a request costs besides, with it, in both QEMUs.
    :param critical_pages: pages that a guest needs one after the other before it goes on.
    :param alone: with it, requested pages come without those around them, so that so many times as
        many of what was never there have to be asked for.
    :param written_share: how many of those it writes, so that they are dirty again.
    :param read_rate: pages of cold memory that it looks at for the first time, a second.
    :param sweep_place: for what part of the time the pages that a sweep comes to are ahead of those
        that are sent.
    :param settle_seconds: for how long after the last page a guest may still be slowed.
    :param slowing: how much more a guest that misses pages is slowed than its curve says.
    """

    stop_seconds: float = 0.02
    resume_seconds: float = 0.07
    counted_share: float = 0.5
    heard_seconds: float = 0.02
    switch_seconds: float = 0.001
    tail_share: float = 0.9
    queue_bytes: float = 1.25e6
    preempt: bool = True
    request_bytes: float = 1.2e5
    request_seconds: float = 2e-4
    critical_pages: float = 85.0
    alone: float = 4.0
    written_share: float = 0.4
    read_rate: float = 200.0
    sweep_place: float = 0.5
    settle_seconds: float = 0.3
    slowing: float = 1.0

    def latency(self, link: Link, at: float, page_bytes: int) -> float:
        """Return how long one requested page takes, in seconds."""
        bandwidth = link.at(at)
        if bandwidth <= 0:
            return math.inf
        wait = self.queue_bytes / bandwidth
        if self.preempt:
            wait = min(wait, self.request_seconds + self.request_bytes / bandwidth)
        return link.round_trip + wait + page_bytes / bandwidth

    def freeze(self, latency: float, hot_missing: float, cold_missing: float) -> float:
        """Return the longest freeze of a switch, in seconds.

        :param hot_missing: the share of the hot memory that is not there yet.
        :param cold_missing: that of the rest.
        """
        # Half of what it writes (stacks, timers) is always dirty, the rest as other hot memory is.
        written = self.written_share * (1 + hot_missing) / 2
        share = written + (1 - self.written_share) * cold_missing * (
            self.alone if self.preempt else 1
        )
        return self.stop_seconds + self.critical_pages * share * latency

    def stalled(self, seconds: float, rate: float, bandwidth: float) -> float:
        """Return for how long a sweep waits while missing pages come in, which takes `seconds`.

        Page by page until what is sent has come past it; then for what is sent, if that is slower.

        :param rate: of the sweep, in bytes a second.
        """
        slower = max(0.0, 1 - bandwidth / rate) if rate > 0 else 0.0
        return seconds * (self.sweep_place + (1 - self.sweep_place) * slower)

    @staticmethod
    def lost(seconds: float, waits: float) -> float:
        """Return the guest-seconds lost while missing pages come in, which takes `seconds`.

        A guest that touches missing pages so often that it would wait `waits` seconds for each
        second of its own runs at ``1 / (1 + waits)`` of its pace at first, and at its full pace in
        the end, fewer and fewer pages being missing.
        """
        if waits <= 0 or seconds <= 0:
            return 0.0
        return seconds * (1 - math.log1p(waits) / waits) if waits > 1e-6 else seconds * waits / 2
