"""Other programs: starting them, reading what they say, ending them.

This is the one module that starts a subprocess. Start with `run`; `stream` is for a long command
whose messages are progress, and `start` for one that goes on beside its caller. What was started by
somebody else is the business of `postcopy.pids`.
"""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from postcopy.errors import UnavailableError

__all__ = [
    "CommandError",
    "Completed",
    "Running",
    "program",
    "run",
    "start",
    "stream",
    "this_command",
]

_LAST_LINES = 5
"""How much of a failed command's messages goes into the error: the cause is nearly always there."""


class CommandError(UnavailableError):
    """A command ended with another exit status than 0, or not in time.

    :ivar argv: what was run.
    :ivar returncode: its exit status; negative is the signal that ended it; None is no end in time.
    :ivar stderr: the last lines that it wrote to standard error.
    """

    def __init__(
        self, argv: Sequence[str], returncode: int | None, stderr: str, *, hint: str = ""
    ) -> None:
        if returncode is None:
            ending = "did not end in time"
        elif returncode < 0:
            ending = f"was ended by {_signal_name(-returncode)}"
        else:
            ending = f"failed with exit status {returncode}"
        message = f"{shlex.join(argv)} {ending}"
        super().__init__(f"{message}: {stderr}" if stderr else message, hint=hint)
        self.argv = tuple(argv)
        self.returncode = returncode
        self.stderr = stderr


@dataclass(frozen=True)
class Completed:
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


def program(name: str) -> str:
    """Return the path of a program on this machine.

    :raises UnavailableError: when it is not installed.
    """
    # The administrator's programs are not on everybody's PATH.
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    path = shutil.which(name, path=search)
    if path is None:
        raise UnavailableError(
            f"the program {name} is not installed",
            hint="`make setup` installs what is missing; otherwise install the package it is in",
        )
    return path


async def run(
    *argv: str,
    stdin: str | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - on time, the command is killed
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    check: bool = True,
) -> Completed:
    """Run a command to its end and return what it wrote.

    :param stdin: text for its standard input; without it, that is empty.
    :param timeout: seconds; the command and its children are killed when they have passed.
    :param env: its whole environment; None is this process's own.
    :param check: whether an exit status other than 0 is an error.
    :raises CommandError: on such a status, and on a time-out whatever `check` says.
    :raises UnavailableError: when the program is not installed.
    """
    process = await _start(argv, stdin is not None, env, cwd)
    try:
        async with asyncio.timeout(timeout):
            stdout, stderr = await process.communicate(None if stdin is None else stdin.encode())
            await _forget_unread_input(process)
    except TimeoutError as error:
        raise CommandError(
            argv, None, "", hint=f"it had {timeout} s; a longer time-out may be needed"
        ) from error
    finally:
        await _end_group(process)
    completed = Completed(
        process.returncode or 0,
        stdout.decode(errors="replace"),
        stderr.decode(errors="replace"),
    )
    if check and completed.returncode != 0:
        raise CommandError(argv, completed.returncode, _tail(completed.stderr.splitlines()))
    return completed


async def stream(
    *argv: str,
    on_line: Callable[[str], None],
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> None:
    """Run a long command, handing each line of its standard error over as it comes.

    :raises CommandError: on an exit status other than 0, with the last lines.
    :raises UnavailableError: when the program is not installed.
    """
    process = await _start(argv, False, env, cwd)
    last: deque[str] = deque(maxlen=200)

    async def messages(reader: asyncio.StreamReader) -> None:
        rest = b""
        # Progress bars end their lines with a carriage return and can be longer than any limit.
        while block := await reader.read(65536):
            *lines, rest = (rest + block.replace(b"\r", b"\n")).split(b"\n")
            for line in lines:
                report(line)
        report(rest)

    def report(line: bytes) -> None:
        if text := line.decode(errors="replace").strip():
            last.append(text)
            on_line(text)

    async def discard(reader: asyncio.StreamReader) -> None:
        while await reader.read(65536):
            pass

    assert process.stderr is not None
    assert process.stdout is not None
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(messages(process.stderr))
            group.create_task(discard(process.stdout))
        await process.wait()
    finally:
        await _end_group(process)
    if process.returncode:
        raise CommandError(argv, process.returncode, "\n".join(last))


class Running:
    """A command that goes on beside this process; made by `start`."""

    def __init__(
        self, process: asyncio.subprocess.Process, log: IO[bytes], on_line: Callable[[str], None]
    ) -> None:
        self._process = process
        self._log = log
        self._on_line = on_line
        self._reading = asyncio.create_task(self._read())

    async def wait(self) -> int:
        """Return its exit status when it has ended and all that it said is read."""
        await asyncio.shield(self._reading)
        return await self._process.wait()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def kill(self) -> None:
        """End it and its children with SIGKILL, at once."""
        await _end_group(self._process)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        with self._log:
            while line := await self._process.stdout.readline():
                self._log.write(line)
                self._log.flush()
                self._on_line(line.decode(errors="replace").rstrip())


async def start(
    *argv: str,
    log: Path,
    on_line: Callable[[str], None],
    env: Mapping[str, str] | None = None,
) -> Running:
    """Start a command and return at once.

    :param log: the file that its output and its messages are added to.
    :param on_line: called with each line of both as it comes.
    :param env: its whole environment; None is this process's own.
    :raises UnavailableError: when the program is not installed.
    """
    path = program(argv[0])
    process = await asyncio.create_subprocess_exec(
        path,
        *argv[1:],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=env,
        start_new_session=True,
    )
    return Running(process, log.open("ab"), on_line)


def this_command(*arguments: str) -> list[str]:
    """Return the command line that runs ``postcopy`` with these arguments, as this process is."""
    return [sys.executable, "-u", "-m", "postcopy", *arguments]


async def _start(
    argv: Sequence[str],
    has_input: bool,
    env: Mapping[str, str] | None,
    cwd: str | os.PathLike[str] | None,
) -> asyncio.subprocess.Process:
    nothing = asyncio.subprocess.DEVNULL
    pipe = asyncio.subprocess.PIPE
    # A session of its own makes the command and all its children one group: they can be ended
    # together, and a Ctrl-C at the terminal comes to this process alone.
    return await asyncio.create_subprocess_exec(
        program(argv[0]),
        *argv[1:],
        stdin=pipe if has_input else nothing,
        stdout=pipe,
        stderr=pipe,
        env=env,
        cwd=cwd,
        start_new_session=True,
    )


async def _forget_unread_input(process: asyncio.subprocess.Process) -> None:
    """A command may end without reading what it was given; asyncio would complain of that later."""
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await process.stdin.wait_closed()


async def _end_group(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _tail(lines: Sequence[str]) -> str:
    return "\n".join([line for line in lines if line.strip()][-_LAST_LINES:])


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
