"""A service of the cloud: a plain process in a host, found again by what it was started with."""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

from postcopy.errors import UnavailableError
from postcopy.lab import names
from postcopy.lab.host import Host

__all__ = ["Service", "log_of", "pid", "start", "stop"]

_MARKER = "POSTCOPY_SERVICE"
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.05

# $1 is the log, $2 the file for the process number, the rest is the command.
_LAUNCH = """
log=$1 number=$2
shift 2
setsid "$@" </dev/null >>"$log" 2>&1 &
echo $! >"$number"
"""


@dataclass(frozen=True, slots=True)
class Service:
    """What is started, and how one sees that it is ready.

    :ivar host: the name of the host that it runs in.
    :ivar environment: what its environment has beyond a host's.
    :ivar port: where its API answers, on the host's control address.
    :ivar queue: the queue that it takes calls from.
    :ivar socket: the unix socket on which it greets, inside the host.
    :ivar log: its own log file, where it has one; its output is in `log_of`'s in any case.
    """

    name: str
    host: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    port: int | None = None
    queue: str | None = None
    socket: str | None = None
    log: str = ""


def log_of(service: Service) -> str:
    """Return the file inside the host that has what a service prints."""
    return f"/var/log/postcopy/{service.name}.log"


def pid(host: Host, service: Service) -> int | None:
    """Return a service's process number inside its host, or None when it does not run."""
    try:
        number = int(_inside(host, _pid_file(service)).read_text())
        environment = (host.root_dir / f"proc/{number}/environ").read_bytes()
    except (OSError, ValueError):
        return None
    return number if f"{_MARKER}={service.name}".encode() in environment.split(b"\0") else None


async def start(host: Host, service: Service) -> None:
    """Start a service if it does not run, without waiting for it to be ready."""
    if pid(host, service) is not None:
        return
    _inside(host, log_of(service)).parent.mkdir(parents=True, exist_ok=True)
    variables = {**service.environment, _MARKER: service.name, "PYTHONUNBUFFERED": "1"}
    await host.run(
        "env",
        *(f"{name}={value}" for name, value in variables.items()),
        *("sh", "-c", _LAUNCH, "launch", log_of(service), _pid_file(service)),
        *service.command,
    )


async def stop(host: Host, service: Service) -> None:
    """End a service in its own time, and wait until it has ended.

    :raises UnavailableError: when it does not end.
    """
    number = pid(host, service)
    if number is None:
        return
    await host.run("kill", str(number), check=False)
    deadline = time.monotonic() + _STOP_SECONDS
    while pid(host, service) is not None:
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"{service.name} in host {host.name} does not end",
                hint=f"`{names.command(host.lab, 'down')}` ends it by force",
            )
        await asyncio.sleep(_POLL_SECONDS)


def _pid_file(service: Service) -> str:
    return f"/run/{service.name}.pid"


def _inside(host: Host, path: str) -> Path:
    return host.root_dir / path.lstrip("/")
