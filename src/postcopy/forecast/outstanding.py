"""What is still to be sent of a guest, while it goes on writing."""

import math

from postcopy.forecast.missing import Missing
from postcopy.forecast.model import Harm, Link
from postcopy.forecast.scenario import Scenario

__all__ = ["Outstanding"]

# QEMU's auto-converge: 'cpu-throttle-initial', '-increment' and 'max-cpu-throttle' in
# qapi/migration.json, and 'throttle-trigger-threshold'.
_THROTTLE_FIRST, _THROTTLE_STEP, _THROTTLE_MOST, _THROTTLE_TRIGGER = 0.2, 0.1, 0.99, 0.5

# A pass and a sweep keep out of each other's way for good if the pass leaves less than this of what
# is swept; else they meet sooner or later (counted page by page, from all places of a sweep).
_APART = 0.45


class Outstanding:
    """The memory and the disks that have not gone, and what the guest has paid so far.

    It is taken stock of at passes' ends, and wherever else a pass is broken off.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._guest = scenario.guest
        self._sets = self._guest.dirty.sets
        self._auto_converge = scenario.auto_converge
        # What is left of each hot set, and of the rest.
        self._hot = [each.size_bytes for each in self._sets]
        self._cold = max(0.0, self._guest.content_bytes - sum(self._hot))
        self.disk_bytes = self._guest.disk_bytes
        self.sent_bytes = 0.0
        """Memory that has gone."""
        self.lost_seconds = 0.0
        self.throttle = 0.0
        self._high_passes = 0

    @property
    def memory_bytes(self) -> float:
        """What is left of the memory."""
        return sum(self._hot) + self._cold

    def carried(self, total_bytes: float) -> tuple[float, float]:
        """Return the memory among so many bytes that go next, and the disks left then.

        Disks and memory share the link evenly until either has gone; then the other has all of it.
        """
        disk = min(self.disk_bytes, max(total_bytes / 2, total_bytes - self.memory_bytes))
        return total_bytes - disk, self.disk_bytes - disk

    def needed(self, memory_bytes: float) -> float:
        """Return how many bytes have to go for so much memory to be among them."""
        return memory_bytes + min(memory_bytes, self.disk_bytes)

    def advance(
        self, total_bytes: float, begin: float, end: float, stopped_from: float, *, ended: bool
    ) -> None:
        """Take account of what was sent and dirtied from `begin` to `end`, within one pass.

        :param total_bytes: what the link carried meanwhile.
        :param stopped_from: since when the guest has not run, if that is before `end`.
        :param ended: whether the pass has come to its end.
        """
        to_send = self.memory_bytes
        memory, self.disk_bytes = self.carried(total_bytes)
        self.sent_bytes += min(memory, to_send)
        unsent = max(0.0, 1 - memory / to_send) if to_send > 0 else 0.0
        active = self._guest.active_seconds(begin, min(end, stopped_from))
        self.lost_seconds += self.throttle * max(0.0, active)
        active = max(0.0, active) * (1 - self.throttle)
        dirtied = 0.0
        for i, each in enumerate(self._sets):
            pending = self._hot[i] * unsent
            fresh = each.dirtied(active)
            dirtied += fresh
            if each.sequential and ended and pending < _APART * each.size_bytes:
                # What a pass leaves is what comes next in its round, and in a sweep's comes last.
                self._hot[i] = min(each.size_bytes, pending + fresh)
            elif fresh:
                # Of what was dirtied, some was still to be sent anyway.
                self._hot[i] = pending + (1 - pending / each.size_bytes) * fresh
            else:
                self._hot[i] = pending
        self._cold *= unsent
        if self._auto_converge:
            self._converge(dirtied, memory)

    def _converge(self, dirtied: float, sent: float) -> None:
        self._high_passes += dirtied > _THROTTLE_TRIGGER * sent
        if self._high_passes >= 2:
            self._high_passes = 0
            step = _THROTTLE_STEP if self.throttle else _THROTTLE_FIRST
            self.throttle = min(_THROTTLE_MOST, self.throttle + step)

    def send_rest(self, memory_bytes: float) -> None:
        """Take account of a migration's end, with so much memory sent last, and all disks."""
        self.sent_bytes += memory_bytes
        self.disk_bytes = 0.0

    @property
    def transferred_bytes(self) -> float:
        """Memory and disks that have gone."""
        return self.sent_bytes + self._guest.disk_bytes - self.disk_bytes

    def switched(self, harm: Harm, link: Link, at: float) -> Missing:
        """Return what a switch now does to the guest, the link being as it is `at` that moment."""
        guest = self._guest
        latency = harm.latency(link, at, guest.page_bytes)
        size = sum(each.size_bytes for each in self._sets)
        cold_size = guest.content_bytes - size
        hot_missing = sum(self._hot) / size if size > 0 else 0.0
        cold_missing = self._cold / cold_size if cold_size > 0 else 0.0
        touches, swept = harm.read_rate * cold_missing, (0.0, 0.0)
        few: list[tuple[float, float]] = []
        seconds = self.memory_bytes / link.at(at) if link.at(at) > 0 else math.inf
        for each, pending in zip(self._sets, self._hot, strict=True):
            missing = pending / each.size_bytes if each.size_bytes > 0 else 0.0
            if each.sequential:
                swept = max(swept, (missing, each.rate))
                continue
            touched = each.rate / guest.page_bytes * missing
            most = pending / guest.page_bytes * latency
            if most < seconds:
                few.append((touched * latency, most))
            else:
                touches += touched
        freeze = harm.freeze(latency, hot_missing, cold_missing)
        return Missing(freeze, touches * latency, tuple(few), swept)
