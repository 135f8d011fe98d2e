"""Keeps a server busy from outside, and writes down when each request was sent and answered.

A program of its own, so that neither disturbs the other: ``python -m postcopy.bench.load.generator
redis ADDRESS PORT BYTES CLIENTS LOG``. It fills the server, says `READY` on standard error, and
each client asks, waits for the answer and asks again, until it is killed, or the process that
started it has gone. The log has one record of `RECORD` for each request: the client, two moments in
Unix time, the row that was asked for, and how many writes of it the server has acknowledged. Of a
read that is 0; without an answer the second moment is, too.
"""

import asyncio
import os
import struct
import sys
import time
from pathlib import Path
from typing import BinaryIO

from postcopy.bench.load.protocols import CLIENTS, Client
from postcopy.errors import PostcopyError

__all__ = ["READY", "RECORD", "main"]

READY = "ready"
RECORD = struct.Struct("<HddII")

_START_SECONDS = 90.0
_RETRY_SECONDS = 0.2
# A server that takes no connection for so long has gone.
_GONE_SECONDS = 10.0
_FLUSH_SECONDS = 0.1


async def main(arguments: list[str]) -> int:
    """Fill the server and ask it until told to end; the result is the program's exit code."""
    parent = os.getppid()
    name, address, port, size, clients, log = arguments
    kind = CLIENTS[name]
    lines = [kind(int(size), number, int(clients)) for number in range(int(clients))]
    try:
        await _connected(lines[0], address, int(port), _START_SECONDS)
        await lines[0].fill(int(size))
        for line in lines[1:]:
            await line.open(address, int(port))
    except (OSError, PostcopyError, TimeoutError, asyncio.IncompleteReadError) as error:
        said = str(error) or type(error).__name__
        print(f"{name} at {address}:{port}: {said}", file=sys.stderr)
        return 69
    with Path(log).open("wb") as file:  # noqa: ASYNC230 - a write is a matter of microseconds
        print(READY, file=sys.stderr, flush=True)
        where = address, int(port)
        asking = asyncio.gather(*(_keep_asking(i, one, where, file) for i, one in enumerate(lines)))
        while not asking.done():
            await asyncio.wait((asking,), timeout=_FLUSH_SECONDS)
            file.flush()
            if os.getppid() != parent:
                return 0  # nobody reads the log any more
    print(f"{name} at {address}:{port} has hung up on every client", file=sys.stderr)
    return 69


async def _connected(client: Client, address: str, port: int, patience: float) -> None:
    """Connect to a server that may not be there yet."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return await client.open(address, port)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_RETRY_SECONDS)


async def _keep_asking(number: int, client: Client, where: tuple[str, int], file: BinaryIO) -> None:
    """Ask, and ask again; connect again where the connection breaks, until nobody is there."""
    anchor = time.time() - time.monotonic()
    while True:
        sent, answered, row, times = anchor + time.monotonic(), 0.0, 0, 0
        try:
            row, times = await client.ask()
            answered = anchor + time.monotonic()
        except PostcopyError:
            await asyncio.sleep(_RETRY_SECONDS)
        except (OSError, asyncio.IncompleteReadError):
            try:
                await _connected(client, *where, _GONE_SECONDS)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                return
        finally:
            file.write(RECORD.pack(number, sent, answered, row, times))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
