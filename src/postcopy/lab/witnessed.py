"""What a guest of the lab has said, on whichever host it ran: alike for all kinds of guests."""

from abc import ABC, abstractmethod
from pathlib import Path

from postcopy.lab import names
from postcopy.lab.machine import GuestSpec
from postcopy.lab.observer import Observation, observe
from postcopy.lab.records import Record, merge, read_log
from postcopy.lab.work import BASELINE_SECONDS

__all__ = ["Witnessed"]


class Witnessed(ABC):
    """A guest whose only process is the witness, and whose words are recorded inside both hosts.

    :ivar spec: what guest it is.
    """

    spec: GuestSpec

    @abstractmethod
    def console_log(self, host: str) -> Path:
        """Return the file of what the guest said on a host."""

    def heard(self, host: str) -> list[Record]:
        """Return what the guest said on one host."""
        return read_log(self.console_log(host))

    def console(self) -> list[Record]:
        """Return what the guest said on either host, in the order of arrival."""
        return merge(*(self.heard(name) for name in names.HOSTS))

    def observe(
        self,
        started_at: float,
        ended_at: float,
        undisturbed: float | None = None,
        before: float = BASELINE_SECONDS,
    ) -> Observation:
        """Return what the guest went through between two moments of Unix time.

        :param undisturbed: until when its own pace is measured; `started_at` if not said.
        :param before: for how many seconds until then.
        """
        return observe(
            self.console(),
            started_at,
            ended_at,
            undisturbed=undisturbed,
            before=before,
            bursts=self.spec.workload.bursts,
        )
