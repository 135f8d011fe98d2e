"""Nova's database, reached through a host whose nova.conf says where it is."""

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from postcopy.errors import NotFoundError, UnavailableError
from postcopy.hosts.access import HostAccess
from postcopy.nova import rows
from postcopy.nova.records import Change, Facts

__all__ = ["NovaDatabase", "Rows"]

_PYTHON = ("python3", "-I", "-")
_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What Nova's database holds of a server and of its migration.

    :ivar compute_id: of the destination's node, where ``instances`` has such a column; else None.
    :ivar context: whether room is set aside for it that no other record tells of, such as CPUs that
        it is pinned to, or PCI devices.
    """

    instance: Mapping[str, Any]
    migration: Mapping[str, Any]
    compute_id: int | None
    context: bool


class NovaDatabase:
    """The database of one cell, asked on a host of its conductor.

    The password is read there, and stays there.

    :param host: a way into that host.
    :param conf: the path of its nova.conf.
    """

    def __init__(self, host: HostAccess, conf: str = "/etc/nova/nova.conf") -> None:
        self._host = host
        self._conf = conf

    @property
    def name(self) -> str:
        """What to call it."""
        return f"Nova's database, as {self._conf} on {self._host.name} names it"

    async def look(self, facts: Facts) -> Rows:
        """Read the rows.

        :raises NotFoundError: when this database has no such server, such as another cell's.
        :raises UnavailableError: when it cannot be asked.
        """
        return self._rows(await self._ask(facts, ()))

    async def write(self, facts: Facts, changes: Sequence[Change]) -> Rows:
        """Make all changes, or none, and return the rows as they are then.

        :raises UnavailableError: when they were not made, and why.
        """
        return self._rows((await self._ask(facts, changes))["after"])

    async def _ask(self, facts: Facts, changes: Sequence[Change]) -> dict[str, Any]:
        request = {
            "conf": self._conf,
            "server": facts.uuid,
            "migration": facts.migration.get("id"),
            "host": facts.destination,
            "node": facts.node,
            "changes": [asdict(change) for change in changes],
        }
        program = f"{inspect.getsource(rows)}\nmain(json.loads({json.dumps(request)!r}))\n"
        done = await self._host.run(*_PYTHON, stdin=program, seconds=_SECONDS)
        _, begin, rest = done.stdout.partition(rows.BEGIN + "\n")
        text, end, _ = rest.rpartition("\n" + rows.END)
        if not (begin and end):
            said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise UnavailableError(
                f"host {self._host.name} gave no answer about Nova's database: {said[:200]}",
                hint=f"has it a Python 3.9 or newer? try on {self._host.name}: python3 -V",
            )
        told: dict[str, Any] = json.loads(text)
        if "error" in told:
            raise UnavailableError(
                f"{self.name}: {told['error']}",
                hint="name a host of the cell's conductor: --nova-database ssh://root@HOST",
            )
        return told

    def _rows(self, told: Mapping[str, Any]) -> Rows:
        instance, migration = told["instances"], told["migrations"]
        if instance is None or migration is None:
            missing = "server" if instance is None else "migration"
            raise NotFoundError(
                f"{self.name}, has no such {missing}",
                hint="is it that of another cell? name a host of the cell's conductor",
            )
        node = told["compute_nodes"]
        if "compute_id" in instance and node is None:
            raise NotFoundError(
                f"{self.name}, has no compute node of the destination",
                hint="openstack hypervisor list",
            )
        known = node["id"] if "compute_id" in instance else None
        return Rows(
            instance=instance, migration=migration, compute_id=known, context=told["context"]
        )
