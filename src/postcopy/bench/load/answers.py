"""What it was like to ask a server, from when each request was sent and answered. Pure.

Clients that wait for an answer before they ask again fall silent together with the server, so that
of a stall of a second each has seen one slow answer. What is counted here is therefore not answers
but moments: how long somebody would have waited who had asked at that moment. A stall then weighs
as much as it lasted.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from postcopy.bench.load.generator import RECORD
from postcopy.bench.record import Latency
from postcopy.lab.work import Curve

__all__ = ["Answers"]

_STEP_SECONDS = 0.001
_PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


@dataclass(frozen=True, slots=True)
class Answers:
    """The requests of each client, in their order: when they were sent and answered.

    :ivar unanswered: when requests were sent that never got an answer.
    :ivar acknowledged: how many writes of each row that was written; reads do not count.
    """

    clients: tuple[tuple[Sequence[float], Sequence[float]], ...]
    unanswered: tuple[float, ...] = ()
    acknowledged: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Answers":
        """Read the generator's log; a torn last record is passed over."""
        content = path.read_bytes()
        whole = len(content) - len(content) % RECORD.size
        found: dict[int, tuple[list[float], list[float]]] = {}
        unanswered = []
        acknowledged: dict[int, int] = {}
        for client, sent, answered, row, times in RECORD.iter_unpack(content[:whole]):
            if answered:
                moments = found.setdefault(client, ([], []))
                moments[0].append(sent)
                moments[1].append(answered)
                if times:
                    acknowledged[row] = times
            else:
                unanswered.append(sent)
        clients = tuple(found[client] for client in sorted(found))
        return cls(clients, tuple(unanswered), acknowledged)

    def work(self) -> Curve:
        """Return the answers as a guest's work."""
        times = sorted(at for _, answered in self.clients for at in answered)
        return Curve((at, count) for count, at in enumerate(times, start=1))

    def waits(self, begin: float, end: float) -> dict[str, float]:
        """Return percentiles of how long one waits who asks at a moment between two others."""
        waits: list[float] = []
        for sent, answered in self.clients:
            at = bisect_left(sent, begin)
            steps = int((end - begin) / _STEP_SECONDS)
            for step in range(steps):
                moment = begin + step * _STEP_SECONDS
                while at < len(sent) and sent[at] < moment:
                    at += 1
                # The last request of all tells how long one had to wait at least.
                done = answered[at] if at < len(answered) else max(end, answered[-1])
                waits.append(done - moment)
        if not waits:
            return {}
        waits.sort()
        last = len(waits) - 1
        return {name: waits[round(share * last)] for name, share in _PERCENTILES.items()}

    def latency(self, begin: float, started: float, end: float) -> Latency:
        """Return what users saw before, from `begin` until `started`, and during the move."""
        return Latency(
            before=self.waits(begin, started),
            during=self.waits(started, end),
            requests=self._count(started, end),
            errors=sum(started <= at < end for at in self.unanswered),
        )

    def _count(self, begin: float, end: float) -> int:
        return sum(
            bisect_left(answered, end) - bisect_left(answered, begin)
            for _, answered in self.clients
        )
