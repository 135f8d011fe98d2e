"""What is done to a nova-compute of the lab, so that it answers otherwise."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable

from postcopy.lab.lab import Lab
from postcopy.lab.openstack import service, services

__all__ = ["configured", "start_compute_again", "until"]

_HEARTBEAT_SECONDS = 15.0


@contextlib.asynccontextmanager
async def configured(lab: Lab, host: str, option: str, value: str) -> AsyncIterator[None]:
    """Have a host's nova.conf say something, and in the end what it said before."""
    path = lab.host(host).root_dir / "etc/nova/nova.conf"
    before = path.read_text()
    text, count = re.subn(rf"(?m)^{option} = .*$", f"{option} = {value}", before)
    assert count == 1
    path.write_text(text)
    await start_compute_again(lab, host)
    try:
        yield
    finally:
        path.write_text(before)
        await start_compute_again(lab, host)


async def start_compute_again(lab: Lab, name: str) -> None:
    """Kill a host's nova-compute, and start it."""
    host, one = lab.host(name), services.computes()[name]
    await host.run("pkill", "-9", "-f", "nova-compute")

    async def ended() -> bool:
        return service.pid(host, one) is None

    await until(ended)
    await service.start(host, one)
    await asyncio.sleep(_HEARTBEAT_SECONDS)  # what Nova sees at once is the old one's


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    """Return when something is so."""
    while True:
        if await look():
            return
        await asyncio.sleep(0.3)
