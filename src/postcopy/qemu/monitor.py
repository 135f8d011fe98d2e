"""One session with one QMP monitor, its errors in this project's words."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from qemu.qmp import (
    ConnectError,
    EventListener,
    ExecInterruptedError,
    Message,
    QMPClient,
    QMPError,
)
from qemu.qmp import ExecuteError as QmpExecuteError
from qemu.qmp.error import ProtocolError
from qemu.qmp.protocol import Runstate

from postcopy.errors import OutcomeUnknownError, PostcopyError, UnavailableError

__all__ = ["CommandError", "Monitor", "NotListeningError", "connected"]

# The client logs each failed connection as an error of its own; ours says the same to the user.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


class _Client(QMPClient):
    """Without the hooks that print each message for a log that nobody reads.

    They cost 20 ms of processor time for one ``query-qmp-schema``; the answer itself costs 3 ms.
    """

    def _cb_outbound(self, msg: Message) -> Message:
        return msg

    def _cb_inbound(self, msg: Message) -> Message:
        return msg


class CommandError(PostcopyError):
    """QEMU understood a command and answered with an error: nothing happened.

    :param name: whose QEMU it was.
    """

    exit_code = 1

    def __init__(self, name: str, command: str, description: str) -> None:
        super().__init__(f"QEMU on {name} refused {command}: {description}")
        self.command = command
        self.description = description


class NotListeningError(UnavailableError):
    """There is no QEMU behind the socket, or no socket at all."""


class Monitor:
    """A QMP session, with out-of-band execution where the monitor offers it.

    :param path: the monitor's unix socket.
    :param name: whose monitor it is, for messages.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self._client = _Client(name)

    @property
    def connected(self) -> bool:
        """Whether commands can be sent."""
        return self._client.runstate is Runstate.RUNNING

    async def connect(self, seconds: float = 5.0) -> None:
        """Open the session.

        :raises UnavailableError: when nothing answers: no such socket, or another client has it.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._greet()
        except TimeoutError:
            raise UnavailableError(
                f"QEMU on {self.name} does not greet on {self.path} within {seconds:.0f} s",
                hint="a monitor takes one client at a time: is another program connected to it?",
            ) from None
        except ConnectError as error:
            missing = isinstance(error.exc, FileNotFoundError | ConnectionRefusedError)
            raise (NotListeningError if missing else UnavailableError)(
                f"cannot reach the monitor of QEMU on {self.name} at {self.path}: {error.exc}",
                hint="is the guest running there, and is the path that of its QMP socket?",
            ) from error

    async def _greet(self) -> None:
        while True:
            try:
                await self._client.connect(str(self.path))
            except ConnectError as error:
                if not isinstance(error.exc, ProtocolError):
                    raise
                # What QEMU still had for the client before this one comes out first, such as an
                # event; the next attempt is greeted properly.
                await asyncio.sleep(0.05)
            else:
                return

    async def execute(
        self,
        command: str,
        arguments: dict[str, object] | None = None,
        *,
        oob: bool = False,
        seconds: float = 30.0,
    ) -> Any:
        """Run one command and return its value.

        :param oob: run it out of band, past commands that hang.
        :param seconds: how long to wait for the answer.
        :raises CommandError: when QEMU says no; nothing happened.
        :raises UnavailableError: when the session is already gone; nothing happened.
        :raises OutcomeUnknownError: when the answer does not come; it may have happened.
        """
        if not self.connected:
            raise UnavailableError(
                f"the monitor session with QEMU on {self.name} is closed",
                hint="if QEMU still runs there, attach again",
            )
        try:
            async with asyncio.timeout(seconds):
                return await self._client.execute(command, arguments, oob=oob)
        except QmpExecuteError as error:
            raise CommandError(self.name, command, str(error)) from error
        except (TimeoutError, ExecInterruptedError, QMPError, OSError, EOFError) as error:
            reason = f"no answer in {seconds:.0f} s" if isinstance(error, TimeoutError) else error
            raise OutcomeUnknownError(
                f"QEMU on {self.name} did not answer {command}: {reason or 'it hung up'}",
                hint="look at the guest on both hosts before doing anything else",
            ) from error

    @contextlib.contextmanager
    def events(self, *names: str) -> Iterator[EventListener]:
        """Queue the events of those names, all if none, while the block runs."""
        with self._client.listener(names) as listener:
            yield listener

    async def wait_closed(self) -> None:
        """Return when the session has ended, whoever ended it."""
        while self._client.runstate is Runstate.RUNNING:
            await self._client.runstate_changed()

    async def close(self) -> None:
        """End the session; QEMU goes on."""
        # How the other side hung up no longer matters to anybody who closes.
        with contextlib.suppress(QMPError, OSError, EOFError):
            await self._client.disconnect()


@contextlib.asynccontextmanager
async def connected(path: Path, name: str, seconds: float = 5.0) -> AsyncIterator[Monitor]:
    """Open a session for the length of the block."""
    monitor = Monitor(path, name)
    await monitor.connect(seconds)
    try:
        yield monitor
    finally:
        await monitor.close()
