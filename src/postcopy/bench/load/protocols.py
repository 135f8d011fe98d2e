"""As much of two servers' protocols as it takes to fill them, to ask them and to check them.

Redis: RESP (redis.io, "Redis serialization protocol specification"). PostgreSQL: the frontend and
backend protocol, version 3, simple queries alone (postgresql.org, "Message Formats").

A row is written by one user alone, and holds how often it was written: less than what the server
acknowledged is a write that was lost.
"""

import asyncio
import random
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Protocol

from postcopy.errors import UnavailableError

__all__ = ["CLIENTS", "Client"]

_ROW_BYTES = 1024
_PROTOCOL = 196608  # 3.0
_DIGITS = 10
# So many questions at once fit into the buffers between.
_BATCH = 500


class Client(Protocol):
    """One connection to a server, of user `number` out of `users`."""

    def __init__(self, size: int, number: int, users: int) -> None: ...

    async def open(self, address: str, port: int) -> None:
        """Connect, and say who is there.

        :raises OSError: when nobody listens.
        """
        ...

    async def fill(self, size: int) -> None:
        """Have the server hold so many bytes; asked of one connection alone."""
        ...

    async def ask(self) -> tuple[int, int]:
        """Read or write a row at random, and return when it is answered.

        :returns: the row, and how many writes of it were acknowledged so far; 0 of a read.
        :raises OSError: when the connection is gone.
        :raises UnavailableError: when the server says that it cannot.
        """
        ...

    async def held(self, rows: Iterable[int]) -> Mapping[int, int]:
        """Return how often each of these rows was written, by what the server holds."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


class _Line(ABC):
    """What is the same of both servers: whom to ask, and which row."""

    row_bytes = _ROW_BYTES

    def __init__(self, size: int, number: int, users: int) -> None:
        self.rows = max(users, size // self.row_bytes)
        self.number = number
        self.users = users
        self.random = random.Random(number)
        self.acknowledged: dict[int, int] = {}
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def connect(self, address: str, port: int) -> None:
        async with asyncio.timeout(5.0):
            self.reader, self.writer = await asyncio.open_connection(address, port)

    async def ask(self) -> tuple[int, int]:
        if self.random.random() < 0.5:
            row = self.random.randrange(self.rows)
            await self.read(row)
            return row, 0
        own = range(self.number, self.rows, self.users)
        row = own[self.random.randrange(len(own))]
        times = self.acknowledged.get(row, 0) + 1
        await self.write(row, times)
        self.acknowledged[row] = times
        return row, times

    @abstractmethod
    async def read(self, row: int) -> None: ...

    @abstractmethod
    async def write(self, row: int, times: int) -> None: ...

    def close(self) -> None:
        self.writer.close()


class Redis(_Line):
    """Half of what it asks is to read a key, half to write one."""

    async def open(self, address: str, port: int) -> None:
        await self.connect(address, port)
        await self._call(b"PING")

    async def fill(self, size: int) -> None:
        del size  # the number of rows follows from it
        await self._call(b"DEBUG", b"POPULATE", b"%d" % self.rows, b"key", b"%d" % _ROW_BYTES)

    async def read(self, row: int) -> None:
        await self._call(b"GET", b"key:%d" % row)

    async def write(self, row: int, times: int) -> None:
        said = str(times).zfill(_DIGITS).encode()
        filler = self.random.randbytes(_ROW_BYTES - _DIGITS)
        await self._call(b"SET", b"key:%d" % row, said + filler)

    async def held(self, rows: Iterable[int]) -> Mapping[int, int]:
        wanted, found = list(rows), {}
        last = b"%d" % (_DIGITS - 1)
        for begin in range(0, len(wanted), _BATCH):
            batch = wanted[begin : begin + _BATCH]
            for row in batch:
                self._send(b"GETRANGE", b"key:%d" % row, b"0", last)
            for row in batch:
                said = await self._answer()
                found[row] = int(said) if said.isdigit() else 0
        return found

    async def _call(self, *words: bytes) -> bytes:
        self._send(*words)
        return await self._answer()

    def _send(self, *words: bytes) -> None:
        request = [b"*%d\r\n" % len(words)]
        request += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
        self.writer.write(b"".join(request))

    async def _answer(self) -> bytes:
        head = await self.reader.readline()
        if not head:
            raise ConnectionResetError("the server has hung up")
        if head.startswith(b"-"):
            raise UnavailableError(f"Redis says: {head[1:].decode(errors='replace').strip()}")
        if head.startswith(b"$") and head != b"$-1\r\n":
            return (await self.reader.readexactly(int(head[1:]) + 2))[:-2]
        return b""


class Postgresql(_Line):
    """Half of what it asks is to read a row by its key, half to change one."""

    # Half of each of its pages is left free for changes.
    row_bytes = 2 * _ROW_BYTES

    async def open(self, address: str, port: int) -> None:
        await self.connect(address, port)
        words = b"user\0postgres\0database\0postgres\0\0"
        self.writer.write(struct.pack("!ii", len(words) + 8, _PROTOCOL) + words)
        await self._answered()

    async def fill(self, size: int) -> None:
        del size
        await self._query(
            "CREATE TABLE account (id integer PRIMARY KEY, balance integer, filler text)"
            " WITH (fillfactor = 50)"
        )
        await self._query(
            f"INSERT INTO account SELECT i, 0, repeat(md5(i::text), 14) FROM"
            f" generate_series(0, {self.rows - 1}) i"
        )

    async def read(self, row: int) -> None:
        await self._query(f"SELECT balance FROM account WHERE id = {row}")

    async def write(self, row: int, times: int) -> None:
        # It counts by itself: a write that was never acknowledged may have come through, too.
        del times
        await self._query(f"UPDATE account SET balance = balance + 1 WHERE id = {row}")

    async def held(self, rows: Iterable[int]) -> Mapping[int, int]:
        listed = await self._query("SELECT id, balance FROM account WHERE balance > 0")
        known = {int(row): int(balance) for row, balance in listed}
        return {row: known.get(row, 0) for row in rows}

    async def _query(self, text: str) -> list[list[bytes]]:
        body = text.encode() + b"\0"
        self.writer.write(b"Q" + struct.pack("!i", len(body) + 4) + body)
        return await self._answered()

    async def _answered(self) -> list[list[bytes]]:
        """Read until the server is ready for the next query; return the rows that came."""
        rows, trouble = [], ""
        while True:
            kind, length = struct.unpack("!ci", await self.reader.readexactly(5))
            body = await self.reader.readexactly(length - 4)
            if kind == b"D":
                rows.append(_columns(body))
            if kind == b"E":
                trouble = body.replace(b"\0", b" ").decode(errors="replace").strip()
            if kind == b"E" and "FATAL" in trouble:
                raise ConnectionRefusedError(trouble)
            if kind == b"Z":
                break
        if trouble:
            raise UnavailableError(f"PostgreSQL says: {trouble}")
        return rows


def _columns(body: bytes) -> list[bytes]:
    """Return the values of a DataRow, none of which is NULL here."""
    values, at = [], 2
    while at < len(body):
        [length] = struct.unpack_from("!i", body, at)
        at += 4 + length
        values.append(body[at - length : at])
    return values


CLIENTS: dict[str, type[Redis] | type[Postgresql]] = {"redis": Redis, "postgresql": Postgresql}
"""By the name of the server."""
