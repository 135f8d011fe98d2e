"""The guard of ``postcopy watch`` as a service of systemd's: a plan like any other."""

import importlib.resources
import re
from collections.abc import Mapping, Sequence

from postcopy.errors import UsageError
from postcopy.hosts import HostAccess
from postcopy.readiness import Command, FileChange
from postcopy.setup.files import HostFiles
from postcopy.setup.plan import Plan

__all__ = ["CONFIGURATION", "SERVICE", "UNIT", "plan_service", "propose_service", "unit_text"]

SERVICE = "postcopy-watch.service"
UNIT = f"/etc/systemd/system/{SERVICE}"
CONFIGURATION = "/etc/postcopy/watch.conf"
_WANTED = f"/etc/systemd/system/multi-user.target.wants/{SERVICE}"
_COMMAND = "/usr/bin/postcopy"

_TEXT = """\
# What postcopy-watch.service watches, and how: postcopy-watch(8). Each is split at blanks.
URIS="{uris}"
OPTIONS="{options}"
"""


def unit_text(command: str = _COMMAND) -> str:
    """Return the unit.

    :param command: where ``postcopy`` is.
    """
    text = importlib.resources.files("postcopy.setup").joinpath(SERVICE).read_text("utf-8")
    return text.replace(f"={_COMMAND} ", f"={command} ")


def plan_service(
    host: str,
    held: Mapping[str, str | None],
    uris: Sequence[str],
    options: Sequence[str],
    command: str,
) -> Plan:
    """Plan a service that watches hosts. Pure; where all is so already, nothing is left to do.

    :param held: what `UNIT` and `CONFIGURATION` hold now; None for what is not there.
    :raises UsageError: when a word is none that the configuration can hold.
    """
    for word in (*uris, *options, command):
        if re.search(r"[\s\"'\\$`]", word):
            raise UsageError(
                f"{word!r} cannot be written into {CONFIGURATION}",
                hint="leave out blanks, quotes, backslashes and dollar signs",
            )
    after = {
        UNIT: unit_text(command),
        CONFIGURATION: _TEXT.format(uris=" ".join(uris), options=" ".join(options)),
    }
    whys = {UNIT: "the guard as a service", CONFIGURATION: "the hosts that it watches"}
    files = tuple(
        FileChange(path=path, before=held[path], after=text, why=whys[path])
        for path, text in after.items()
        if held[path] != text
    )
    if not files:
        return Plan(host)
    # Taken back, they come after the files: what is gone by then cannot be disabled by its name.
    commands = (
        Command(
            argv=("systemctl", "daemon-reload"),
            why="systemd reads the unit",
            undo=("systemctl", "daemon-reload"),
        ),
        Command(
            argv=("systemctl", "enable", SERVICE),
            why="it runs after each boot",
            undo=("rm", "-f", _WANTED),
        ),
        Command(
            argv=("systemctl", "restart", SERVICE),
            why="it runs now, with this configuration",
            undo=("systemctl", "stop", SERVICE),
        ),
    )
    return Plan(host, files, commands, mends=("watch.service",))


async def propose_service(
    host: HostAccess, uris: Sequence[str], options: Sequence[str], command: str
) -> Plan:
    """Look at what a host has, and plan the service.

    :raises UsageError: as `plan_service` does.
    :raises UnavailableError: when the host does not answer.
    """
    found = await HostFiles(host).look([UNIT, CONFIGURATION])
    held = {path: one.text() for path, one in found.items()}
    return plan_service(host.name, held, uris, options, command)
