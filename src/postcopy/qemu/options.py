"""What a migration between two QEMUs is made of, besides the guest."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from postcopy.errors import UsageError

__all__ = ["Endpoint", "MigrationOptions"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one QEMU's monitors are.

    :param name: the host's name, for people.
    :param monitor: the unix socket of a QMP monitor.
    :param rescue: the socket of a second one. It stays usable out of band when the first hangs,
        but only on a session that was opened before: a monitor takes one client at a time.
    """

    name: str
    monitor: Path
    rescue: Path | None = None

    def record(self) -> dict[str, str | None]:
        """Return the endpoint as plain values."""
        return {
            "name": self.name,
            "monitor": str(self.monitor),
            "rescue": str(self.rescue) if self.rescue else None,
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "Endpoint":
        """Read what `record` wrote."""
        rescue = record["rescue"]
        return cls(record["name"], Path(record["monitor"]), Path(rescue) if rescue else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationOptions:
    """How to move.

    :param uri: where the destination listens and the source connects, as QEMU writes it:
        ``tcp:HOST:PORT``, ``unix:PATH``.
    :param postcopy: arm post-copy on both sides.
    :param preempt: let requested pages overtake others on a channel of their own, where both offer.
    :param bandwidth: the most to send, in bytes a second; None does not bound it.
    :param recover_uri: where to listen and connect after a cut; `uri` if None. Another network, or
        the address that a host has now.
    :param downtime_limit: how long the guest may stand still at a pre-copy switchover, in seconds.
    """

    uri: str
    postcopy: bool = True
    preempt: bool = True
    bandwidth: int | None = None
    downtime_limit: float = 0.3
    recover_uri: str | None = None

    def __post_init__(self) -> None:
        for uri in (self.uri, self.recover_uri):
            if uri is not None and not uri.startswith(("tcp:", "unix:")):
                raise UsageError(
                    f"{uri!r} is not a migration address",
                    hint="write tcp:HOST:PORT or unix:PATH, reachable from the source",
                )
        # QEMU's own bounds: 'downtime-limit' in qapi/migration.json, at most 2000 seconds.
        if not 0 < self.downtime_limit <= 2000:
            raise UsageError(
                f"a downtime limit of {self.downtime_limit} s makes no sense",
                hint="give seconds above 0 and at most 2000; QEMU's own default is 0.3",
            )
