"""Which of a cloud's records are wrong about a server that has moved, and what mends them. Pure.

Nova's records are wrong when its compute host at the source was started again in mid-post-copy: it
takes the server for its own then, and nobody carries the move to its end. What that end would have
written is what Nova itself writes there (``_post_live_migration_update_host``, Nova 26 to 31).

No call of Nova's API says where a server is: that, and the migration's end, is for its database.
Everything else can be said through APIs, and is.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from postcopy.nova.look import Answer

__all__ = [
    "Allocations",
    "Change",
    "Disagreement",
    "Facts",
    "Means",
    "changes",
    "disagreements",
    "notes",
    "sql",
    "undo",
]

Allocations = Mapping[str, Mapping[str, Mapping[str, int]]]
"""By consumer and by provider's name: how much of each resource."""

_ARRIVED = ("completed", "done")
_BROKEN = ("ERROR", "SHUTOFF")
"""What Nova makes of a server that it has lost: seen to be shut off where it was, it is stopped."""
_RUNNING = 1


class Means(enum.StrEnum):
    """What can change a record."""

    DATABASE = "Nova's database"
    PLACEMENT = "Placement's API"
    NOVA = "Nova's API"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A record that says what is not so.

    :ivar record: which one, for people.
    :ivar says: what it says.
    :ivar truth: what it should say.
    """

    record: str
    says: str
    truth: str
    means: Means


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row of Nova's database that is to be changed, and what it must be before.

    :ivar expected: what is looked for; a row that is not so is left alone.
    """

    table: str
    values: Mapping[str, Any]
    expected: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a cloud says of a server, whose guest runs where its migration went.

    :ivar server: the server, as Nova's API has it.
    :ivar migration: its migration.
    :ivar allocations: those of the server and of the migration.
    """

    server: Answer
    migration: Answer
    allocations: Allocations = field(default_factory=dict)

    @property
    def uuid(self) -> str:
        """The server's."""
        return str(self.server["id"])

    @property
    def source(self) -> str:
        """The host that the guest has left."""
        return str(self.migration.get("source_compute") or "")

    @property
    def destination(self) -> str:
        """The host on which the guest runs."""
        return str(self.migration.get("dest_compute") or "")

    @property
    def node(self) -> str:
        """What Nova and Placement call that host's hypervisor."""
        return str(self.migration.get("dest_node") or self.destination)

    @property
    def consumer(self) -> str:
        """The migration's uuid, in whose name room is kept at the source; empty if not told."""
        return str(self.migration.get("uuid") or "")


def disagreements(facts: Facts) -> tuple[Disagreement, ...]:
    """Return the records that are wrong, in the order in which they are mended."""
    found = []

    def compare(record: str, says: object, truth: object, means: Means) -> None:
        if says != truth:
            found.append(Disagreement(record=record, says=str(says), truth=str(truth), means=means))

    server, migration = facts.server, facts.migration
    compare(
        "host of the server",
        server.get("OS-EXT-SRV-ATTR:host"),
        facts.destination,
        Means.DATABASE,
    )
    compare(
        "node of the server",
        server.get("OS-EXT-SRV-ATTR:hypervisor_hostname"),
        facts.node,
        Means.DATABASE,
    )
    if server.get("status") in _BROKEN:
        # Together with its host: a server that runs where Nova thinks it stopped, Nova stops.
        means = Means.DATABASE if found else Means.NOVA
        compare("status of the server", server["status"], "ACTIVE", means)
    if migration.get("status") not in _ARRIVED:
        compare(
            f"status of migration {migration.get('id')}",
            migration.get("status"),
            "completed",
            Means.DATABASE,
        )
    compare(
        "allocations of the server",
        _providers(facts, facts.uuid),
        facts.node,
        Means.PLACEMENT,
    )
    compare(
        f"allocations of migration {migration.get('id')}",
        _providers(facts, facts.consumer),
        "none",
        Means.PLACEMENT,
    )
    return tuple(found)


def _providers(facts: Facts, consumer: str) -> str:
    return ", ".join(sorted(facts.allocations.get(consumer, {}))) or "none"


def changes(facts: Facts, compute_id: int | None = None) -> tuple[Change, ...]:
    """Return the rows of Nova's database that are to be changed.

    :param compute_id: the destination's, where ``instances`` has such a column (Nova 28).
    """
    wrong = {one.record for one in disagreements(facts) if one.means is Means.DATABASE}
    found = []
    if wrong & {"host of the server", "node of the server"}:
        values: dict[str, Any] = {"host": facts.destination, "node": facts.node, "progress": 0}
        values["power_state"] = _RUNNING
        if "status of the server" in wrong:
            values["vm_state"] = "active"
        if compute_id is not None:
            values["compute_id"] = compute_id
        found.append(
            Change(
                table="instances",
                values=values,
                # Nova does nothing with it, and nobody has mended it meanwhile.
                expected={
                    "uuid": facts.uuid,
                    "host": facts.server.get("OS-EXT-SRV-ATTR:host"),
                    "vm_state": facts.server.get("OS-EXT-STS:vm_state"),
                    "task_state": None,
                    "deleted": 0,
                },
            )
        )
    if f"status of migration {facts.migration.get('id')}" in wrong:
        found.append(
            Change(
                table="migrations",
                values={"status": "completed"},
                expected={
                    "id": facts.migration.get("id"),
                    "instance_uuid": facts.uuid,
                    "status": facts.migration.get("status"),
                    "deleted": 0,
                },
            )
        )
    return tuple(found)


def notes(facts: Facts) -> tuple[str, ...]:
    """Return what else the end of a migration does, which no record shows from here."""
    directory = (
        f"the server's directory in instances_path is left behind at {facts.source}: unless both"
        " hosts share it, remove it there, or Nova refuses to move the server back"
    )
    told = [
        directory,
        f"ports may still be bound to {facts.source} (openstack port set --host)",
    ]
    if facts.server.get("os-extended-volumes:volumes_attached"):
        told.append(
            f"volumes may still be connected to {facts.source} (openstack volume attachment list)"
        )
    return tuple(told)


def sql(change: Change, *, whole: bool = True) -> str:
    """Return a change as a statement that a person can read, and run.

    :param whole: whether all that is to be set is known; else a comment says what may be missing.
    """
    values = ", ".join(f"{name} = {_literal(value)}" for name, value in change.values.items())
    if not whole and change.table == "instances":
        values += " /* and, where there is such a column: compute_id = the id of that node */"
    return f"UPDATE {change.table} SET {values} WHERE {_conditions(change.expected)};"


def undo(change: Change, row: Mapping[str, Any]) -> str:
    """Return the statement that gives a row back what it held."""
    values = ", ".join(f"{name} = {_literal(row.get(name))}" for name in change.values)
    key = "uuid" if change.table == "instances" else "id"
    return f"UPDATE {change.table} SET {values} WHERE {key} = {_literal(change.expected[key])};"


def _conditions(expected: Mapping[str, Any]) -> str:
    parts: Sequence[str] = [
        f"{name} IS NULL" if value is None else f"{name} = {_literal(value)}"
        for name, value in expected.items()
    ]
    return " AND ".join(parts)


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(int(value))
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"
