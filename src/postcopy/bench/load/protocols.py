"""As much of two servers' protocols as it takes to fill them and to ask them.

Redis: RESP (redis.io, "Redis serialization protocol specification"). PostgreSQL: the frontend and
backend protocol, version 3, simple queries alone (postgresql.org, "Message Formats").
"""

import asyncio
import random
import struct
from typing import Protocol

from postcopy.errors import UnavailableError

__all__ = ["CLIENTS", "Client"]

_ROW_BYTES = 1024
_PROTOCOL = 196608  # 3.0


class Client(Protocol):
    """One connection to a server."""

    async def open(self, address: str, port: int) -> None:
        """Connect, and say who is there.

        :raises OSError: when nobody listens.
        """
        ...

    async def fill(self, size: int) -> None:
        """Have the server hold so many bytes; asked of one connection alone."""
        ...

    async def ask(self) -> None:
        """Read or write something at random, and return when it is answered.

        :raises OSError: when the connection is gone.
        :raises UnavailableError: when the server says that it cannot.
        """
        ...


class _Line:
    def __init__(self, size: int, seed: int) -> None:
        self.rows = max(1, size // _ROW_BYTES)
        self.random = random.Random(seed)
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def connect(self, address: str, port: int) -> None:
        async with asyncio.timeout(5.0):
            self.reader, self.writer = await asyncio.open_connection(address, port)


class Redis(_Line):
    """Half of what it asks is to read a key, half to write one."""

    async def open(self, address: str, port: int) -> None:
        await self.connect(address, port)
        await self._call(b"PING")

    async def fill(self, size: int) -> None:
        del size  # the number of rows follows from it
        await self._call(b"DEBUG", b"POPULATE", b"%d" % self.rows, b"key", b"%d" % _ROW_BYTES)

    async def ask(self) -> None:
        key = b"key:%d" % self.random.randrange(self.rows)
        if self.random.random() < 0.5:
            await self._call(b"GET", key)
        else:
            await self._call(b"SET", key, self.random.randbytes(_ROW_BYTES))

    async def _call(self, *words: bytes) -> None:
        request = [b"*%d\r\n" % len(words)]
        request += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
        self.writer.write(b"".join(request))
        head = await self.reader.readline()
        if not head:
            raise ConnectionResetError("the server has hung up")
        if head.startswith(b"-"):
            raise UnavailableError(f"Redis says: {head[1:].decode(errors='replace').strip()}")
        if head.startswith(b"$") and head != b"$-1\r\n":
            await self.reader.readexactly(int(head[1:]) + 2)


class Postgresql(_Line):
    """Half of what it asks is to read a row by its key, half to change one."""

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
            f" generate_series(0, {self.rows // 2 - 1}) i"
        )

    async def ask(self) -> None:
        key = self.random.randrange(max(1, self.rows // 2))
        if self.random.random() < 0.5:
            await self._query(f"SELECT balance FROM account WHERE id = {key}")
        else:
            await self._query(f"UPDATE account SET balance = balance + 1 WHERE id = {key}")

    async def _query(self, text: str) -> None:
        body = text.encode() + b"\0"
        self.writer.write(b"Q" + struct.pack("!i", len(body) + 4) + body)
        await self._answered()

    async def _answered(self) -> None:
        """Read until the server is ready for the next query."""
        trouble = ""
        while True:
            kind, length = struct.unpack("!ci", await self.reader.readexactly(5))
            body = await self.reader.readexactly(length - 4)
            if kind == b"E":
                trouble = body.replace(b"\0", b" ").decode(errors="replace").strip()
            if kind == b"E" and "FATAL" in trouble:
                raise ConnectionRefusedError(trouble)
            if kind == b"Z":
                break
        if trouble:
            raise UnavailableError(f"PostgreSQL says: {trouble}")


CLIENTS: dict[str, type[Redis] | type[Postgresql]] = {"redis": Redis, "postgresql": Postgresql}
"""By the name of the server."""
