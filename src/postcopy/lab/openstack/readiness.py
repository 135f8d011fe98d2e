"""Looking whether a service is ready: each is asked what it is there for, nothing is timed."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from postcopy.errors import UnavailableError
from postcopy.lab import names
from postcopy.lab.host import Host
from postcopy.lab.openstack import queues, service
from postcopy.lab.openstack.service import Service

__all__ = ["wait_for_port", "wait_for_queues", "wait_for_socket"]

_PATIENCE_SECONDS = 180.0
"""On a busy machine; a service that has ended is noticed at once."""

_POLL_SECONDS = 0.1
_ANSWER_SECONDS = 20.0
_AMQP = b"AMQP\x00\x00\x09\x01"
"""A client's first word (AMQP 0-9-1, section 4.2.2); only a broker that has started answers it."""

_LOG_LINES = 3


async def wait_for_socket(host: Host, wanted: Service) -> None:
    """Return when a database greets whoever connects."""
    assert wanted.socket is not None
    path = host.root_dir / wanted.socket.lstrip("/")

    async def greets() -> bool:
        reader, writer = await asyncio.open_unix_connection(path)
        with contextlib.closing(writer):
            return bool(await reader.read(1))

    await _until(host, wanted, greets)


async def wait_for_port(host: Host, wanted: Service) -> None:
    """Return when an API answers a request, or the broker a client's first word."""
    port = wanted.port
    assert port is not None
    if wanted.name == "rabbitmq":
        question, good = _AMQP, b"\x01"
    else:
        question = f"GET / HTTP/1.0\r\nHost: {host.control_address}\r\n\r\n".encode()
        good = b"HTTP/"

    async def answers() -> bool:
        reader, writer = await asyncio.open_connection(host.control_address, port)
        with contextlib.closing(writer):
            writer.write(question)
            answer = await reader.read(12)
        # A status of 500 is an application that could not be loaded, or has no database.
        return answer.startswith(good) and not answer.endswith(b" 500")

    await _until(host, wanted, answers)


async def wait_for_queues(
    controller: Host, address: str, wanted: Iterable[Service], hosts: Mapping[str, Host]
) -> None:
    """Return when every one of these services takes calls from its queue.

    :param address: of the message queue.
    :param hosts: where they run, by name.
    """
    by_queue = {one.queue: one for one in wanted if one.queue is not None}
    source = _source_of_queues()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while by_queue:
        done = await controller.run(
            *("python3", "-c", source, "2", *by_queue), stdin=address, timeout=60.0, check=False
        )
        if done.returncode not in (0, 1) or (done.returncode == 1 and not done.stdout):
            raise UnavailableError(
                f"the message queue does not answer: {done.stderr.strip()[-300:]}",
                hint=f"see {service.log_of(Service('rabbitmq', controller.name, ()))} in it",
            )
        left = set(done.stdout.split())
        by_queue = {queue: one for queue, one in by_queue.items() if queue in left}
        for one in by_queue.values():
            host = hosts[one.host]
            if await _has_ended(host, one):
                raise _gave_up(host, one, "has ended")
            if time.monotonic() > deadline:
                raise _gave_up(host, one, "takes no calls from its queue")


def _source_of_queues() -> str:
    return Path(queues.__file__).read_text()


async def _until(host: Host, wanted: Service, looks: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                if await looks():
                    return
        if await _has_ended(host, wanted):
            raise _gave_up(host, wanted, "has ended")
        if time.monotonic() > deadline:
            raise _gave_up(host, wanted, f"does not answer after {_PATIENCE_SECONDS:.0f} s")
        await asyncio.sleep(_POLL_SECONDS)


async def _has_ended(host: Host, one: Service) -> bool:
    if service.pid(host, one) is not None:
        return False
    # A process that is just about to become another program has no environment for a moment.
    await asyncio.sleep(_POLL_SECONDS)
    return service.pid(host, one) is None


def _gave_up(host: Host, wanted: Service, what: str) -> UnavailableError:
    told = ""
    for log in filter(None, (wanted.log, service.log_of(wanted))):
        with contextlib.suppress(OSError):
            lines = (host.root_dir / log.lstrip("/")).read_text(errors="replace").splitlines()
            told = told or "\n".join(line[:300] for line in lines[-_LOG_LINES:])
    hint = f"`{names.command(host.lab, 'down')}`, then up again; is there memory left?"
    return UnavailableError(f"{wanted.name} of host {host.name} {what}: {told}", hint=hint)
