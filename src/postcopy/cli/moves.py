"""Where a migration's two ends are: in a lab, or behind two QMP sockets that the user names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from postcopy.errors import UsageError
from postcopy.migration.conduct import Move
from postcopy.qemu.driver import QemuDriver
from postcopy.qemu.options import Endpoint, MigrationOptions

__all__ = ["BareMove", "resume"]


class BareMove:
    """Between two QEMUs that somebody else starts and ends."""

    def __init__(self, driver: QemuDriver, source: str, destination: str) -> None:
        self.driver = driver
        self.source = source
        self.destination = destination

    @classmethod
    def between(
        cls,
        monitors: tuple[Path, Path],
        rescues: tuple[Path | None, Path | None],
        destination: str,
        options: MigrationOptions,
    ) -> "BareMove":
        """Name both ends by their monitor sockets, the source's first."""
        if monitors[0].resolve() == monitors[1].resolve():
            raise UsageError(
                f"source and destination are the same QEMU: {monitors[0]}",
                hint="give --dest-qmp the socket of the QEMU that waits with -incoming defer",
            )
        source_end = Endpoint("source", monitors[0], rescues[0])
        destination_end = Endpoint(destination, monitors[1], rescues[1])
        return cls(QemuDriver(source_end, destination_end, options), "source", destination)

    def record(self) -> dict[str, Any]:
        """Return what `resume` needs."""
        return dict(self.driver.record())

    async def settle(self) -> None:
        """Let go of the monitors; both QEMUs belong to somebody else."""
        await self.driver.close()


def resume(record: Mapping[str, Any], guest: str) -> Move:
    """Return the move that an earlier process recorded."""
    if "lab" in record:
        from postcopy.lab.move import LabMove

        return LabMove.resume(record, guest)
    driver = QemuDriver.of_record(record)
    return BareMove(driver, record["source"]["name"], record["destination"]["name"])
