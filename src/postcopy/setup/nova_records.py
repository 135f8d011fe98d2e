"""Mends a cloud's records of a server whose guest has moved without Nova's knowing.

What is changed is put into a file of the user's own first, with the statements that take it back.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from postcopy.errors import RefusedError, UsageError
from postcopy.hosts.nova_database import Rows
from postcopy.nova.api import NovaApi
from postcopy.nova.placement import Placement
from postcopy.nova.records import (
    Change,
    Disagreement,
    Facts,
    Means,
    changes,
    disagreements,
    sql,
    undo,
)

__all__ = ["Database", "Repair", "mend", "plan", "read_facts"]


class Database(Protocol):
    """Nova's database; see `postcopy.hosts.nova_database`."""

    async def look(self, facts: Facts) -> Rows:
        """Read the rows."""
        ...

    async def write(self, facts: Facts, changes: Sequence[Change]) -> Rows:
        """Make all changes, or none, and return the rows as they are then."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What mends the records of one server.

    :ivar wrong: the records that say what is not so.
    :ivar changes: of rows of Nova's database.
    :ivar rows: what those rows hold; None where the database was not asked.
    """

    facts: Facts
    wrong: tuple[Disagreement, ...]
    changes: tuple[Change, ...]
    rows: Rows | None = None

    @property
    def statements(self) -> list[str]:
        """The changes as SQL, for people."""
        return [sql(change, whole=self.rows is not None) for change in self.changes]


async def read_facts(api: NovaApi, uuid: str, migration: int) -> Facts:
    """Ask Nova and Placement for the records of a server and of its migration.

    :raises PostcopyError: when one of them does not tell.
    """
    look = await api.look(uuid, migration)
    facts = Facts(server=look.server or {"id": uuid}, migration=look.migration or {})
    consumers = [name for name in (facts.uuid, facts.consumer) if name]
    allocations = await Placement(api).allocations(*consumers)
    return Facts(server=facts.server, migration=facts.migration, allocations=allocations)


async def plan(facts: Facts, database: Database | None) -> Repair:
    """Say what mends the records; change nothing.

    :param database: Nova's; without it, some of what is written there is not known.
    :raises RefusedError: when it takes more than that.
    """
    wrong = disagreements(facts)
    rows = None
    if database is not None and any(one.means is Means.DATABASE for one in wrong):
        rows = await database.look(facts)
        if rows.context:
            raise RefusedError(
                "room of its own is set aside for the server (a migration context: CPUs that it is"
                " pinned to, or PCI devices), which only Nova can bring along",
                hint="move the domain back with libvirt: then Nova's records are right again",
            )
    known = rows.compute_id if rows is not None else None
    return Repair(facts=facts, wrong=wrong, changes=changes(facts, known), rows=rows)


async def mend(
    repair: Repair,
    api: NovaApi,
    database: Database | None,
    directory: Path,
    tell: Callable[[str], None] = lambda _: None,
) -> Path:
    """Mend the records, and return the file that has what they were.

    Killed in the middle, it is begun anew: what is mended already is wrong no longer.

    :param directory: where that file is made.
    :raises UsageError: when rows are to be changed, and nobody said where the database is.
    :raises PostcopyError: when a step was refused; what was done before it stays done.
    """
    if repair.changes and (database is None or repair.rows is None):
        raise UsageError(
            "only Nova's database can be told where a server is, and nobody said how to reach it",
            hint="name a host whose nova.conf does: --nova-database ssh://root@controller",
        )
    dump = _dump(repair, directory)
    tell(f"what the records were is in {dump}")
    if repair.changes and database is not None:
        await database.write(repair.facts, repair.changes)
        tell(f"{len(repair.changes)} rows of Nova's database are written")
    means = {one.means for one in repair.wrong}
    if Means.NOVA in means:
        await api.reset_state(repair.facts.uuid)
        tell("Nova takes the server for one that runs")
    if Means.PLACEMENT in means:
        await Placement(api).put_right(repair.facts)
        tell("Placement keeps room for the server where it is, and nowhere else")
    return dump


def _dump(repair: Repair, directory: Path) -> Path:
    """Write down what the records are, readable by nobody else, before any is changed."""
    rows = repair.rows
    both = None if rows is None else {"instances": rows.instance, "migrations": rows.migration}
    held: dict[str, Any] = {
        "server": repair.facts.server,
        "migration": repair.facts.migration,
        "allocations": repair.facts.allocations,
        "rows": both,
        "wrong": [asdict(one) for one in repair.wrong],
        "statements": repair.statements,
        "undo": [undo(change, both[change.table]) for change in repair.changes] if both else [],
    }
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = directory / f"nova-{repair.facts.uuid}-{stamp}-{time.time_ns() % 10**9:09d}.json"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(held, file, indent=1, default=str)
        file.flush()
        os.fsync(descriptor)
    return path
