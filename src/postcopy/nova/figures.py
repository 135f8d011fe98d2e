"""Samples out of looks. Nova's own figures are new every five seconds, and know no passes."""

from collections import deque
from dataclasses import replace
from typing import Any

from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample
from postcopy.nova.look import Look, Seen

__all__ = ["Reader", "passes_between"]

_UPDATES = 4
"""So many of Nova's updates back, what was left says how large passes are; guests change."""
_MOST_PASSES = 20
_SOON_SECONDS = 0.5
"""No two updates are closer than this, whenever they were seen."""


class Reader:
    """Turns looks into samples.

    Where libvirt was asked, figures and pass ends are its own. Nova's are what its last update had,
    and the passes between two updates are worked out, see `passes_between`. The bandwidth is what
    was sent from one update to the next.
    """

    def __init__(self) -> None:
        self._last: Sample | None = None
        self._news: Sample | None = None
        self._lefts: deque[int] = deque(maxlen=_UPDATES)
        self.statistics: dict[str, Any] = {}
        """The last that libvirt said."""

    @property
    def sent_bytes(self) -> int:
        """What is known to have been sent."""
        return self._last.transferred_bytes if self._last else 0

    def read(
        self, at: float, phase: Phase, status: str, error: str, look: Look | None, seen: Seen | None
    ) -> list[Sample]:
        """Return a look as a sample, after one for each pass that has ended since."""
        if seen is not None and seen.statistics.get("memory_total"):
            self.statistics = dict(seen.statistics)
            samples = [self._of_libvirt(at, phase, status, error, seen.pass_ended_at)]
        elif self.statistics:
            samples = [self._of_libvirt(at, phase, status, error, None)]
        else:
            samples = self._of_nova(at, phase, status, error, look)
        self._last = samples[-1]
        return samples

    def _of_libvirt(
        self, at: float, phase: Phase, status: str, error: str, pass_ended_at: float | None
    ) -> Sample:
        from postcopy.libvirt.status import sample_of

        return sample_of(
            self.statistics, at, phase, status=status, error=error, pass_ended_at=pass_ended_at
        )

    def _of_nova(
        self, at: float, phase: Phase, status: str, error: str, look: Look | None
    ) -> list[Sample]:
        before, news = self._last or Sample(at=at, phase=phase), self._news
        own = (look.own if look else None) or {}
        total = own.get("memory_total_bytes") or before.total_bytes
        sent = own.get("memory_processed_bytes") or before.transferred_bytes
        left = own.get("memory_remaining_bytes")
        if left is None:
            left = _left_by_progress(look, total, before)
        sample = replace(
            before,
            at=at,
            phase=phase,
            status=status,
            pass_number=max(before.pass_number, 1 if phase is Phase.PRECOPY and total else 0),
            pass_ended_at=None,
            total_bytes=total,
            remaining_bytes=left,
            disk_total_bytes=own.get("disk_total_bytes") or before.disk_total_bytes,
            disk_remaining_bytes=own.get("disk_remaining_bytes") or 0,
            transferred_bytes=sent,
            error=error,
        )
        if news is not None and (sent, left) == (news.transferred_bytes, news.remaining_bytes):
            return [sample]
        ended: list[Sample] = []
        if news is not None and news.total_bytes and sent > news.transferred_bytes:
            rate = (sent - news.transferred_bytes) / max(at - news.at, _SOON_SECONDS)
            sample = replace(sample, bandwidth=rate)
            if phase is Phase.PRECOPY:
                ended = passes_between(news, sample, max(self._lefts, default=0))
                sample = replace(sample, pass_number=sample.pass_number + len(ended))
        if sample.pass_number > 1:
            self._lefts.append(left)
        self._news = sample
        return [*ended, sample]


def passes_between(before: Sample, now: Sample, least_bytes: float) -> list[Sample]:
    """Return a sample for the end of each pass that lies between two updates of Nova's.

    One has surely ended when more is left than before, or when more was sent than was left. What
    was sent beyond what was left, and what is left now, became dirty meanwhile: that much in all,
    in as many passes as there can be if none is smaller than anything that was seen to be left.

    :param least_bytes: what was left at most at the updates before: no pass began with less.
    """
    sent = now.transferred_bytes - before.transferred_bytes
    left = now.remaining_bytes
    if not (left > before.remaining_bytes or sent > before.remaining_bytes):
        return []
    dirtied = sent + left - before.remaining_bytes
    size = max(least_bytes, float(left), 1.0)
    count = min(max(1, int(dirtied // size)), _MOST_PASSES)
    size = max(size, dirtied / count)
    last_at = max(before.at, now.at - (size - left) / now.bandwidth)
    ends = [last_at - step * size / now.bandwidth for step in reversed(range(count))]
    return [
        replace(
            now,
            at=end,
            pass_number=now.pass_number + number,
            pass_ended_at=end,
            remaining_bytes=round(size),
            transferred_bytes=round(now.transferred_bytes - (now.at - end) * now.bandwidth),
        )
        for number, end in enumerate((end for end in ends if end >= before.at), 1)
    ]


def _left_by_progress(look: Look | None, total: int, before: Sample) -> int:
    """Return what is left by the server's progress in percent: all that is told in post-copy."""
    progress = ((look.server if look else None) or {}).get("progress")
    if not isinstance(progress, int) or progress <= 0:
        return before.remaining_bytes
    return min(before.remaining_bytes or total, total * (100 - progress) // 100)
