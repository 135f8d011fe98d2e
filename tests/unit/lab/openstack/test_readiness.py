"""Whether a service is ready is asked of it, and a service that has ended is told at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from postcopy.errors import UnavailableError
from postcopy.lab.host import Host
from postcopy.lab.openstack import readiness, service
from postcopy.lab.openstack.service import Service

HOST = Host("default", "controller", 1, "", "127.0.0.1", Path("/run/postcopy/none"))


@contextlib.asynccontextmanager
async def api(*answers: bytes) -> AsyncIterator[int]:
    """Play an API that gives these answers, the last one for ever."""
    left = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_POLL_SECONDS", 0.001)
    monkeypatch.setattr(readiness, "_PATIENCE_SECONDS", 5.0)


@pytest.mark.parametrize("good", [b"HTTP/1.1 300 Multiple", b"HTTP/1.0 401 Unauthorized"])
async def test_an_api_is_ready_when_its_application_answers(
    good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "pid", lambda *_: 7)
    async with api(b"HTTP/1.1 500 Internal Server Error", b"", good) as port:
        await readiness.wait_for_port(HOST, Service("api", "controller", (), port=port))


async def test_a_broker_is_ready_when_it_speaks_its_protocol(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "pid", lambda *_: 7)
    async with api(b"", b"AMQP\x00", b"\x01\x00\x00") as port:
        await readiness.wait_for_port(HOST, Service("rabbitmq", "controller", (), port=port))


async def test_a_service_that_has_ended_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "pid", lambda *_: None)
    monkeypatch.setattr(Host, "root_dir", tmp_path)
    (tmp_path / "api.log").write_text("one\ntwo\nthree\nthe disk is full\n")
    wanted = Service("api", "controller", (), port=1, log="/api.log")
    with pytest.raises(UnavailableError, match=r"(?s)api .* has ended: two\n.*full"):
        await asyncio.wait_for(readiness.wait_for_port(HOST, wanted), 5)
