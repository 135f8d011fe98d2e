"""Talking with the witness in a guest: commands go to its second port, answers come on the first.

Answers are read from the recorder's log (`postcopy.lab.records`), which outlives whoever asked.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

from postcopy.errors import UnavailableError
from postcopy.lab.records import Failure, Ready, Record, Text, Verdict, read_log

__all__ = ["Port", "command", "verify", "wait_ready"]

T = TypeVar("T")

_BOOT_SECONDS = 60.0
_ANSWER_SECONDS = 120.0


async def wait_ready(name: str, log: Path) -> None:
    """Return when the guest's workload runs.

    :raises UnavailableError: when it says that it cannot, or says nothing for a minute.
    """
    hint = f"see what it said in {log}"
    deadline = time.monotonic() + _BOOT_SECONDS
    while time.monotonic() < deadline:
        for record in read_log(log):
            if isinstance(record, Ready):
                return
            if isinstance(record, Failure):
                raise UnavailableError(f"guest {name!r} cannot work: {record.reason}", hint=hint)
        await asyncio.sleep(0.05)
    raise UnavailableError(f"guest {name!r} did not come up in {_BOOT_SECONDS:.0f} s", hint=hint)


Port = Path | tuple[str, int]
"""Where a guest takes commands: a unix socket, or an address and a TCP port."""


async def verify(name: str, port: Port, log: Path) -> Verdict:
    """Have the guest check every page of its memory and return what it found.

    :raises UnavailableError: when it does not answer.
    """
    return await _ask(name, port, log, "verify", lambda r: r if isinstance(r, Verdict) else None)


async def command(name: str, port: Port, log: Path, text: str) -> str:
    """Have the guest obey a command of its witness, such as ``rate 500``; return its answer.

    :raises UnavailableError: when it does not answer.
    """

    def answer(record: Record) -> str | None:
        told = isinstance(record, Text) and record.text[:2] in ("A ", "N ")
        return record.text if isinstance(record, Text) and told else None

    return await _ask(name, port, log, text, answer)


async def _ask(
    name: str, port: Port, log: Path, text: str, answer: Callable[[Record], T | None]
) -> T:
    asked_at = time.time()
    async with _line_to(port) as writer:
        writer.write(text.encode() + b"\n")
        deadline = time.monotonic() + _ANSWER_SECONDS
        while time.monotonic() < deadline:
            for record in read_log(log):
                if record.at >= asked_at and (found := answer(record)) is not None:
                    return found
            await asyncio.sleep(0.05)
    raise UnavailableError(
        f"guest {name!r} has not answered {text!r} within {_ANSWER_SECONDS:.0f} s",
        hint=f"see what it last said in {log}",
    )


@contextlib.asynccontextmanager
async def _line_to(port: Port) -> AsyncIterator[asyncio.StreamWriter]:
    """Open a serial line, for as long as the answer takes.

    Closed at once, it would lose what the guest has not read yet: a few bytes fit into its port.
    """
    try:
        if isinstance(port, Path):
            _, writer = await asyncio.open_unix_connection(port)
        else:
            _, writer = await asyncio.open_connection(*port)
    except OSError as error:
        raise UnavailableError(
            f"the guest takes no commands at {port}: {error.strerror}",
            hint="is it still running? postcopy lab status",
        ) from error
    try:
        yield writer
    finally:
        writer.close()
