"""Commands to a QEMU that libvirt holds the only monitor of: passed on by libvirt, or past it.

The source's libvirt passes commands on also while a migration is under way, or is interrupted; the
destination's refuses until all is over. But QEMU takes one client of a monitor after the other, and
its socket queues those that wait (listen(2)): whoever is in line when libvirt's daemon ends is
next, and the daemon, started again, waits behind.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import libvirt_qemu

from postcopy.errors import OutcomeUnknownError, UnavailableError
from postcopy.libvirt.connection import Connection
from postcopy.libvirt.ways import Way
from postcopy.qemu.monitor import CommandError, Monitor

__all__ = ["borrowed", "pass_on"]

_COMMAND_SECONDS = 5.0
_IN_LINE_SECONDS = 0.1
_BORROW_SECONDS = 120.0
_GREETING_SECONDS = 2.0


async def pass_on(uri: str, uuid: str, command: str, arguments: dict[str, object]) -> Any:
    """Have a libvirt pass a QMP command on to a domain's QEMU, and return QEMU's answer.

    Over a connection of its own: libvirt may let a command wait for half a minute.

    :raises CommandError: when QEMU says no; nothing happened.
    :raises PostcopyError: when libvirt does not pass it on, or no answer comes.
    """
    connection = await Connection.open(uri, _COMMAND_SECONDS)
    try:
        domain = await connection.find(uuid)
        if domain is None:
            raise UnavailableError(f"{uri} does not have the domain any more")
        text = json.dumps({"execute": command, "arguments": arguments})
        async with asyncio.timeout(_COMMAND_SECONDS):
            told = await connection.call(libvirt_qemu.qemuMonitorCommand, domain, text, 0)
    except TimeoutError:
        raise OutcomeUnknownError(
            f"{uri} has not passed {command} on within {_COMMAND_SECONDS:.0f} s",
            hint="something else is being done with the domain there",
        ) from None
    finally:
        await connection.close()
    answer = json.loads(told)
    if "error" in answer:
        raise CommandError(uri, command, answer["error"].get("desc", "without a reason"))
    return answer.get("return")


@contextlib.asynccontextmanager
async def borrowed(way: Way, domain: str, where: str) -> AsyncIterator[Monitor]:
    """Hold the monitor that libvirt uses, while libvirt's daemon is being restarted.

    The daemon gets it back when the block ends, which must be soon: it is not up before.

    :param where: whose QEMU it is, for messages.
    :raises PostcopyError: when that could not be done; libvirt has its monitor then.
    """
    monitor = Monitor(await way.socket(await way.own_monitor(domain)), where)
    in_line = asyncio.create_task(monitor.connect(_BORROW_SECONDS))
    await asyncio.sleep(_IN_LINE_SECONDS)
    restarting = asyncio.create_task(way.restart_libvirt())
    try:
        await asyncio.wait({in_line, restarting}, return_when=asyncio.FIRST_COMPLETED)
        async with asyncio.timeout(_GREETING_SECONDS):
            await in_line
        yield monitor
    except TimeoutError:
        raise UnavailableError(
            f"QEMU on {where} did not take us while libvirt's daemon restarted",
            hint="the daemon was faster; it may be tried again",
        ) from None
    finally:
        in_line.cancel()
        await monitor.close()
        await restarting
