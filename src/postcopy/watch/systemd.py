"""Tells systemd how a service is (sd_notify(3)), and says lines as its journal takes them.

The protocol is a datagram of ``NAME=value`` lines to the socket that ``NOTIFY_SOCKET`` names.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping, MutableMapping

__all__ = ["Notifier", "in_journal", "journal_line"]

_WARNING, _INFO = 4, 6  # syslog(3)


class Notifier:
    """Tells the service manager, if there is one, that this service is ready, alive, ending.

    :param path: of the manager's socket; nothing is told without one.
    :param watchdog_seconds: how long the manager waits for a sign of life; None for ever.
    """

    def __init__(self, path: str | None, watchdog_seconds: float | None = None) -> None:
        self._path = path
        self._watchdog_seconds = watchdog_seconds

    @classmethod
    def of_environment(cls, environment: MutableMapping[str, str]) -> "Notifier":
        """Read what systemd says in the environment, and take it away from child processes."""
        path = environment.pop("NOTIFY_SOCKET", None)
        microseconds = environment.pop("WATCHDOG_USEC", "")
        meant = environment.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        seconds = int(microseconds) / 1e6 if microseconds.isdigit() and meant else None
        return cls(path, seconds or None)

    def tell(self, *lines: str) -> None:
        """Send lines such as ``READY=1``. A manager that does not listen is no reason to stop."""
        if not self._path:
            return
        address = f"\0{self._path[1:]}" if self._path.startswith("@") else self._path
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            out.sendto("\n".join(lines).encode(), address)

    async def keep_alive(self, status: Callable[[], str]) -> None:
        """Give signs of life for ever, which end when this program's event loop hangs.

        :param status: what the service does now, for ``systemctl status``.
        """
        told = ""
        while True:
            now = status()
            self.tell("WATCHDOG=1", *([f"STATUS={now}"] if now != told else []))
            told = now
            await asyncio.sleep((self._watchdog_seconds or 20.0) / 2)


def in_journal(environment: Mapping[str, str]) -> bool:
    """Return whether standard error is the journal (systemd.exec(5), ``JOURNAL_STREAM``)."""
    try:
        device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
        found = os.fstat(2)
        return (int(device), int(inode)) == (found.st_dev, found.st_ino)
    except (OSError, ValueError):
        return False


def journal_line(text: str, *, troubling: bool) -> str:
    """Return a line with its priority in front (sd-daemon(3)); the journal knows the time."""
    return f"<{_WARNING if troubling else _INFO}>{text}"
