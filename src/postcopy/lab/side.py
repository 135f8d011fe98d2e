"""One of the two QEMUs of a lab guest: the one on a given host."""

import asyncio
import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from postcopy.errors import MigrationError, OutcomeUnknownError, UnavailableError
from postcopy.lab.boot import INSIDE, BootFiles
from postcopy.lab.host import Host
from postcopy.lab.machine import GuestSpec, qemu_arguments
from postcopy.qemu.monitor import NotListeningError, connected
from postcopy.qemu.options import Endpoint
from postcopy.qemu.status import phase_of

__all__ = ["Side", "SideState"]


@dataclass(frozen=True, slots=True)
class SideState:
    """What one QEMU says of itself.

    :param run_state: ``query-status``: running, inmigrate, postmigrate, paused, ...
    :param migration: ``query-migrate``'s status; "none" where there never was one.
    """

    run_state: str
    migration: str

    @property
    def migrating(self) -> bool:
        """Whether a migration is under way, or interrupted, on this side."""
        if self.run_state == "inmigrate" and self.migration in ("none", "setup"):
            return False  # it only waits
        return self.migration != "none" and not phase_of(self.migration).terminal


class Side:
    """A guest's QEMU on one host, there or not.

    :param host: the lab host.
    :param spec: the guest.
    """

    def __init__(self, host: Host, spec: GuestSpec) -> None:
        self.host = host
        self.spec = spec
        self.directory = host.runtime_dir / "guests" / spec.name
        self._inside = INSIDE / "guests" / spec.name

    @property
    def endpoint(self) -> Endpoint:
        """Where a driver finds the monitors."""
        return Endpoint(self.host.name, self.directory / "monitor", self.directory / "rescue")

    @property
    def console_log(self) -> Path:
        """What the guest said here, each line with the time of its arrival."""
        return self.directory / "console.log"

    @property
    def pid(self) -> int | None:
        """QEMU's process on this machine; None when there is none."""
        return self.host.qemu(f"{self._inside}/qemu.pid")

    @property
    def log(self) -> Path:
        """What QEMU complained of."""
        return self.directory / "qemu.log"

    @property
    def commands(self) -> Path:
        """The socket on which the guest takes commands."""
        return self.directory / "commands"

    async def start(self, files: BootFiles, *, incoming: bool) -> None:
        """Start QEMU and the recorder of the guest's console.

        What an earlier guest of that name said here is forgotten; what this guest said before it
        left, if it comes back now, is kept.
        """
        if not incoming:
            shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        await self.host.run(
            *qemu_arguments(
                self.spec,
                files.kernel,
                files.initramfs,
                self._inside,
                machine=files.machine,
                incoming=incoming,
            ),
            timeout=30.0,
        )
        base = f"{self._inside}/console"
        recorder = f"/usr/bin/python3 -I {files.recorder} {base} {base}.log"
        # Detached, and with nothing of ours open: it outlives this process, as the guest does.
        await self.host.run(
            "sh", "-c", f"exec setsid -f {recorder} </dev/null >{self._inside}/recorder.err 2>&1"
        )

    async def look(self) -> SideState | None:
        """Ask QEMU how it is; None when there is none."""
        try:
            async with connected(self.directory / "look", self.host.name) as monitor:
                status = await monitor.execute("query-status", seconds=5.0)
                migration = await monitor.execute("query-migrate", seconds=5.0)
        except NotListeningError:
            return None
        except (UnavailableError, OutcomeUnknownError) as error:
            if not (self.directory / "qemu.pid").exists():
                return None  # it went away in between
            raise UnavailableError(
                f"QEMU of guest {self.spec.name} on {self.host.name} does not answer",
                hint=f"see {self.directory}; nothing was changed",
            ) from error
        return SideState(status["status"], migration.get("status", "none"))

    async def quit(self) -> None:
        """End this QEMU and wait until it has gone. The guest ends with it if it runs here."""
        try:
            async with connected(self.directory / "look", self.host.name) as monitor:
                # It may hang up before it answers; the wait below tells.
                with contextlib.suppress(OutcomeUnknownError):
                    await monitor.execute("quit", seconds=5.0)
                async with asyncio.timeout(10.0):
                    await monitor.wait_closed()
        except NotListeningError:
            return
        except TimeoutError:
            raise MigrationError(
                f"QEMU of guest {self.spec.name} on {self.host.name} does not end",
                hint="postcopy lab down ends it by force",
            ) from None
