"""The load: a server that answers, one that does not, and one that goes away."""

import asyncio
import os
import signal
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from postcopy import processes
from postcopy.bench.load.answers import Answers
from postcopy.bench.load.load import Load
from postcopy.bench.load.protocols import CLIENTS
from postcopy.errors import UnavailableError
from postcopy.lab.services.service import SERVICES

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        server.close_clients() if hasattr(server, "close_clients") else None


class FakeRedis:
    """As much of Redis as is asked for."""

    def __init__(self, refuse: bytes = b"") -> None:
        self.calls: list[list[bytes]] = []
        self.keys: dict[bytes, bytes] = {}
        self.refuse = refuse

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            count = int((await reader.readuntil(b"\r\n"))[1:])
            words = []
            for _ in range(count):
                size = int((await reader.readuntil(b"\r\n"))[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            self.calls.append(words)
            if words[0] == self.refuse:
                writer.write(b"-OOM command not allowed\r\n")
            elif words[0] == b"GET":
                writer.write(b"$3\r\nabc\r\n" if len(self.calls) % 2 else b"$-1\r\n")
            elif words[0] == b"GETRANGE":
                held = self.keys.get(words[1], b"")[int(words[2]) : int(words[3]) + 1]
                writer.write(b"$%d\r\n%b\r\n" % (len(held), held))
            elif words[0] == b"SET":
                self.keys[words[1]] = words[2]
                writer.write(b"+OK\r\n")
            else:
                writer.write(b"+OK\r\n")


class FakePostgresql:
    """As much of PostgreSQL as is asked for."""

    def __init__(self, refuse: str = "") -> None:
        self.queries: list[str] = []
        self.balances: Counter[int] = Counter()
        self.refuse = refuse

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length, version = struct.unpack("!ii", await reader.readexactly(8))
        assert version == 3 << 16
        assert b"user\0postgres\0" in await reader.readexactly(length - 8)
        writer.write(b"R" + struct.pack("!ii", 8, 0) + b"Z" + struct.pack("!i", 5) + b"I")
        while True:
            _, length = struct.unpack("!ci", await reader.readexactly(5))
            text = (await reader.readexactly(length - 4)).rstrip(b"\0").decode()
            self.queries.append(text)
            if self.refuse and self.refuse in text:
                body = b"SERROR\0Mno such table\0\0"
                writer.write(b"E" + struct.pack("!i", len(body) + 4) + body)
            else:
                if "UPDATE" in text:
                    self.balances[int(text.rpartition(" ")[2])] += 1
                if "balance > 0" in text:
                    for row in self.balances.items():
                        body = b"".join(struct.pack("!i", len(v)) + v for v in _texts(row))
                        writer.write(b"D" + struct.pack("!ih", len(body) + 6, 2) + body)
                writer.write(b"C" + struct.pack("!i", 9) + b"DONE\0")
            writer.write(b"Z" + struct.pack("!i", 5) + b"I")


def _texts(values: Iterable[int]) -> list[bytes]:
    return [str(value).encode() for value in values]


async def test_redis_is_filled_and_asked_in_its_own_words() -> None:
    fake = FakeRedis()
    async with serving(fake) as port:
        client = CLIENTS["redis"](64 * 1024, number=1, users=4)
        await client.open("127.0.0.1", port)
        await client.fill(64 * 1024)
        for _ in range(20):
            await client.ask()
        client.writer.close()

    assert fake.calls[:2] == [[b"PING"], [b"DEBUG", b"POPULATE", b"64", b"key", b"1024"]]
    asked = fake.calls[2:]
    assert {call[0] for call in asked} == {b"GET", b"SET"}
    assert all(0 <= int(call[1].removeprefix(b"key:")) < 64 for call in asked)
    written = [call for call in asked if call[0] == b"SET"]
    assert all(len(call[2]) == 1024 for call in written)
    assert {int(call[1].removeprefix(b"key:")) % 4 for call in written} == {1}


async def test_postgresql_is_filled_and_asked_in_its_own_words() -> None:
    fake = FakePostgresql()
    async with serving(fake) as port:
        client = CLIENTS["postgresql"](64 * 1024, number=1, users=4)
        await client.open("127.0.0.1", port)
        await client.fill(64 * 1024)
        for _ in range(20):
            await client.ask()
        client.writer.close()

    assert "generate_series(0, 31)" in fake.queries[1]
    assert {query.split()[0] for query in fake.queries[2:]} == {"SELECT", "UPDATE"}
    assert {row % 4 for row in fake.balances} == {1}


@pytest.mark.parametrize("name", ["redis", "postgresql"])
async def test_what_a_server_refuses_is_told_in_its_words(name: str) -> None:
    fake: Serve = FakeRedis(b"DEBUG") if name == "redis" else FakePostgresql("INSERT")
    async with serving(fake) as port:
        client = CLIENTS[name](1 << 20, number=1, users=4)
        await client.open("127.0.0.1", port)
        with pytest.raises(UnavailableError, match=r"not allowed|no such table"):
            await client.fill(1 << 20)
        client.writer.close()


async def test_a_load_runs_beside_until_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(FakeRedis()) as port:
        service = replace(SERVICES["redis"], port=port)
        load = await Load.start(service, "127.0.0.1", 1 << 20, tmp_path / "log")
        await asyncio.sleep(0.3)
        answers = await load.answers()
        await load.stop()

    assert len(answers.clients) == 4
    assert all(len(sent) > 5 for sent, _ in answers.clients)
    assert not answers.unanswered


async def test_users_go_with_the_process_that_brought_them(tmp_path: Path) -> None:
    async with serving(FakeRedis()) as port:
        text = (
            "import subprocess, sys\n"
            "null, pipe = subprocess.DEVNULL, subprocess.PIPE\n"
            "users = subprocess.Popen(sys.argv[1:], stdout=null, stderr=pipe, text=True)\n"
            "assert users.stderr.readline() == 'ready\\n'\n"
            "print(users.pid)\n"
        )
        module = "postcopy.bench.load.generator"
        log = str(tmp_path / "log")
        arguments = ("-m", module, "redis", "127.0.0.1", str(port), str(1 << 20), "4", log)
        done = await processes.run(sys.executable, "-c", text, sys.executable, *arguments)
        users = int(done.stdout)
        for _ in range(100):
            if not alive(users):
                return
            await asyncio.sleep(0.1)
        os.kill(users, signal.SIGKILL)
        pytest.fail("they go on without it")


def alive(process: int) -> bool:
    try:
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())  # empty if it is to be reaped
    except FileNotFoundError:
        return False


@asynccontextmanager
async def written(serve: Serve, service: str, log: Path) -> AsyncIterator[tuple[Load, Answers]]:
    """Have users write for a while to a server, which still answers when they have stopped."""
    async with serving(serve) as port:
        at = replace(SERVICES[service], port=port)
        load = await Load.start(at, "127.0.0.1", 64 << 10, log)
        await asyncio.sleep(0.3)
        await load.stop()
        yield load, await load.answers()


async def test_every_acknowledged_write_is_read_back_from_redis(tmp_path: Path) -> None:
    fake = FakeRedis()
    async with written(fake, "redis", tmp_path / "log") as (load, answers):
        assert sum(answers.acknowledged.values()) > 20
        assert await load.lost(answers) == 0

        row, times = next(iter(answers.acknowledged.items()))
        fake.keys[b"key:%d" % row] = b"%010d and more" % (times - 1)
        assert await load.lost(answers) == 1
        fake.keys.clear()
        assert await load.lost(answers) == len(answers.acknowledged)


async def test_every_acknowledged_write_is_read_back_from_postgresql(tmp_path: Path) -> None:
    fake = FakePostgresql()
    async with written(fake, "postgresql", tmp_path / "log") as (load, answers):
        assert await load.lost(answers) == 0

        row = next(iter(answers.acknowledged))
        fake.balances[row] = 0
        assert await load.lost(answers) == 1


async def test_a_server_that_has_gone_cannot_be_read_back(tmp_path: Path) -> None:
    async with serving(FakeRedis()) as port:
        service = replace(SERVICES["redis"], port=port)
        load = await Load.start(service, "127.0.0.1", 64 << 10, tmp_path / "log")
        await load.stop()

    with pytest.raises(UnavailableError, match="cannot be read back"):
        await load.lost(Answers((), acknowledged={1: 1}))


async def test_a_connection_that_breaks_is_made_again_and_counted(tmp_path: Path) -> None:
    fake = FakeRedis()

    async def breaks_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(fake.calls) < 50:
            asyncio.get_running_loop().call_later(0.1, writer.close)
        await fake(reader, writer)

    async with serving(breaks_once) as port:
        service = replace(SERVICES["redis"], port=port)
        load = await Load.start(service, "127.0.0.1", 1 << 20, tmp_path / "log")
        await asyncio.sleep(1.5)
        answers = await load.answers()
        await load.stop()

    assert answers.unanswered
    last = max(answered[-1] for _, answered in answers.clients)
    assert last > max(answers.unanswered)


async def test_a_server_that_refuses_is_told_at_once(tmp_path: Path) -> None:
    async with serving(FakeRedis(b"DEBUG")) as port:
        service = replace(SERVICES["redis"], port=port)
        with pytest.raises(UnavailableError, match="OOM"):
            await Load.start(service, "127.0.0.1", 1 << 20, tmp_path / "log")
