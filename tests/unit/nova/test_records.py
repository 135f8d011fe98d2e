"""Which records are wrong about a server that has moved, and the rows that mend them."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from postcopy.errors import NotFoundError, UnavailableError
from postcopy.hosts.local import LocalHost
from postcopy.hosts.nova_database import NovaDatabase
from postcopy.nova.records import Change, Facts, Means, changes, disagreements, notes, sql, undo

SERVER = "5f3a1b1e-7d0c-4c5e-9f0a-2b6d1c0e8a11"
MIGRATION = "6fa8239b-58ce-4915-93c3-e4234600eeaa"
ROOM = {"VCPU": 1}


def facts(**more: Any) -> Facts:
    """A server whose guest runs on beta, and whose move nobody brought to its end in Nova."""
    server = {
        "id": SERVER,
        "status": "ACTIVE",
        "OS-EXT-SRV-ATTR:host": "alpha",
        "OS-EXT-SRV-ATTR:hypervisor_hostname": "alpha.example",
        "OS-EXT-STS:vm_state": "active",
        **more.pop("server", {}),
    }
    migration = {
        "id": 12,
        "uuid": MIGRATION,
        "status": "running (post-copy)",
        "source_compute": "alpha",
        "dest_compute": "beta",
        "dest_node": "beta.example",
        **more.pop("migration", {}),
    }
    allocations = {SERVER: {"beta.example": ROOM}, MIGRATION: {"alpha.example": ROOM}}
    return Facts(server=server, migration=migration, allocations={**allocations, **more})


def test_what_a_restart_of_the_sources_nova_compute_leaves_wrong() -> None:
    wrong = [(one.record, one.says, one.truth, one.means) for one in disagreements(facts())]
    assert wrong == [
        ("host of the server", "alpha", "beta", Means.DATABASE),
        ("node of the server", "alpha.example", "beta.example", Means.DATABASE),
        ("status of migration 12", "running (post-copy)", "completed", Means.DATABASE),
        ("allocations of migration 12", "alpha.example", "none", Means.PLACEMENT),
    ]


def test_what_a_migration_that_nova_gave_up_leaves_wrong() -> None:
    given_up = facts(
        server={"status": "ERROR", "os-extended-volumes:volumes_attached": [{"id": "v1"}]},
        migration={"status": "error"},
        **{SERVER: {"alpha.example": ROOM}, MIGRATION: {}},
    )
    wrong = {one.record: (one.truth, one.means) for one in disagreements(given_up)}
    assert wrong["status of the server"] == ("ACTIVE", Means.DATABASE)
    assert wrong["allocations of the server"] == ("beta.example", Means.PLACEMENT)
    assert "allocations of migration 12" not in wrong
    assert any("volumes" in note for note in notes(given_up))


def test_a_server_that_nova_has_stopped_is_active_again_with_the_same_write() -> None:
    """Were it stopped at its new host even for a moment, Nova would stop the guest there."""
    stopped = facts(server={"status": "SHUTOFF", "OS-EXT-STS:vm_state": "stopped"})
    change = changes(stopped, 3)[0]
    assert (change.values["host"], change.values["vm_state"]) == ("beta", "active")
    assert change.expected["vm_state"] == "stopped"


def test_a_status_alone_is_for_novas_own_api() -> None:
    placed = {
        "OS-EXT-SRV-ATTR:host": "beta", "OS-EXT-SRV-ATTR:hypervisor_hostname": "beta.example",
    }  # fmt: skip
    lost = facts(server={**placed, "status": "SHUTOFF"}, migration={"status": "completed"},
                 **{MIGRATION: {}})  # fmt: skip
    [wrong] = disagreements(lost)
    assert (wrong.record, wrong.means) == ("status of the server", Means.NOVA)
    assert changes(lost) == ()


def test_what_nova_itself_has_finished_is_right() -> None:
    finished = facts(
        server={
            "OS-EXT-SRV-ATTR:host": "beta",
            "OS-EXT-SRV-ATTR:hypervisor_hostname": "beta.example",
        },
        migration={"status": "completed"},
        **{MIGRATION: {}},
    )
    assert disagreements(finished) == ()
    assert changes(finished, 3) == ()


def test_the_statements_that_a_person_would_run() -> None:
    instance, migration = changes(facts(), 3)
    assert sql(instance) == (
        "UPDATE instances SET host = 'beta', node = 'beta.example', progress = 0, power_state = 1,"
        f" compute_id = 3 WHERE uuid = '{SERVER}' AND host = 'alpha' AND vm_state = 'active' AND"
        " task_state IS NULL AND deleted = 0;"
    )
    assert sql(migration) == (
        "UPDATE migrations SET status = 'completed' WHERE id = 12 AND instance_uuid ="
        f" '{SERVER}' AND status = 'running (post-copy)' AND deleted = 0;"
    )
    unknown, _ = changes(facts())
    assert "compute_id = the id of that node" in sql(unknown, whole=False)
    assert undo(migration, {"id": 12, "status": "running (post-copy)"}) == (
        "UPDATE migrations SET status = 'running (post-copy)' WHERE id = 12;"
    )


def test_no_name_ends_a_statement() -> None:
    change = Change(table="instances", values={"host": "o'bri\\en"}, expected={"uuid": SERVER})
    assert "host = 'o''bri\\\\en' WHERE" in sql(change)


SCHEMA = """
CREATE TABLE instances (id INTEGER, uuid TEXT, host TEXT, node TEXT, compute_id INTEGER,
    vm_state TEXT, task_state TEXT, power_state INTEGER, progress INTEGER, deleted INTEGER);
CREATE TABLE migrations (id INTEGER, instance_uuid TEXT, status TEXT, deleted INTEGER);
CREATE TABLE instance_extra (instance_uuid TEXT, migration_context TEXT, deleted INTEGER);
CREATE TABLE compute_nodes (id INTEGER, uuid TEXT, host TEXT, hypervisor_hostname TEXT,
    deleted INTEGER);
INSERT INTO compute_nodes VALUES (2, 'a', 'alpha', 'alpha.example', 0),
    (3, 'b', 'beta', 'beta.example', 0);
"""


class Cell:
    """The database of a cell, and the nova.conf that names it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "nova.sqlite"
        self.connection = sqlite3.connect(self.path)
        self.connection.executescript(SCHEMA)
        self.connection.execute(
            "INSERT INTO instances VALUES"
            " (1, ?, 'alpha', 'alpha.example', 2, 'active', NULL, 1, 21, 0)",
            [SERVER],
        )
        self.connection.execute(
            "INSERT INTO migrations VALUES (12, ?, 'running (post-copy)', 0)", [SERVER]
        )
        self.connection.execute("INSERT INTO instance_extra VALUES (?, NULL, 0)", [SERVER])
        self.connection.commit()
        conf = directory / "nova.conf"
        # Of an option that is there twice, oslo.config takes the last.
        conf.write_text(
            "transport_url = rabbit://nobody\n[database]\nconnection = mysql://old\n"
            f"connection = sqlite://{self.path}\n[DEFAULT]\nhost = x\nhost = y\n"
        )
        self.database = NovaDatabase(LocalHost(), str(conf))

    def one(self, query: str) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self.connection.execute(query).fetchone()
        return found


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    return Cell(tmp_path)


async def test_rows_are_read_and_written_all_together(cell: Cell) -> None:
    rows = await cell.database.look(facts())
    assert (rows.instance["host"], rows.migration["status"]) == ("alpha", "running (post-copy)")
    assert (rows.compute_id, rows.context) == (3, False)
    after = await cell.database.write(facts(), changes(facts(), rows.compute_id))
    assert (after.instance["host"], after.migration["status"]) == ("beta", "completed")
    assert cell.one("SELECT host, node, compute_id, progress FROM instances") == (
        "beta", "beta.example", 3, 0,
    )  # fmt: skip


async def test_rows_that_somebody_else_has_changed_are_left_alone(cell: Cell) -> None:
    """The second row is not as expected: the first is not written either."""
    cell.connection.execute("UPDATE migrations SET status = 'completed'")
    cell.connection.commit()
    with pytest.raises(UnavailableError, match="0 rows of migrations are as expected"):
        await cell.database.write(facts(), changes(facts(), 3))
    assert cell.one("SELECT host FROM instances") == ("alpha",)


async def test_a_server_that_nova_is_busy_with_is_left_alone(cell: Cell) -> None:
    cell.connection.execute("UPDATE instances SET task_state = 'deleting'")
    cell.connection.commit()
    with pytest.raises(UnavailableError, match="0 rows of instances are as expected"):
        await cell.database.write(facts(), changes(facts(), 3))


async def test_a_database_before_compute_ids(cell: Cell) -> None:
    cell.connection.execute("ALTER TABLE instances DROP COLUMN compute_id")
    cell.connection.commit()
    assert (await cell.database.look(facts())).compute_id is None


async def test_another_cells_database(cell: Cell) -> None:
    cell.connection.execute("UPDATE instances SET deleted = id")
    cell.connection.commit()
    with pytest.raises(NotFoundError, match="has no such server"):
        await cell.database.look(facts())


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ("[DEFAULT]\n", "has no connection"),
        ("[database]\nconnection = oracle://u:secret@h/x\n", "of kind oracle"),
        ("[database]\nconnection = mysql+pymysql://u:secret@127.0.0.1:9/x\n", "Nova's database"),
    ],
)
async def test_a_database_that_cannot_be_asked(tmp_path: Path, conf: str, said: str) -> None:
    path = tmp_path / "nova.conf"
    path.write_text(conf)
    with pytest.raises(UnavailableError) as told:
        await NovaDatabase(LocalHost(), str(path)).look(facts())
    assert said in told.value.message
    assert "secret" not in told.value.message


async def test_a_host_without_python(tmp_path: Path) -> None:
    from postcopy.testing import FakeHost

    host = FakeHost("ctl", said=json.dumps({"nothing": "of this"}))
    with pytest.raises(UnavailableError, match="host ctl gave no answer about Nova's database"):
        await NovaDatabase(host, str(tmp_path)).look(facts())
