"""Reads and changes rows of Nova's database, from a host whose nova.conf says where that is.

Runs there, with its Python (3.9 or newer) and the database's driver that Nova itself uses; nothing
else. So the password stays where it is. `main` prints one JSON object between two marks.

A change is made when every row is as expected, and all of them in one transaction, or none.
"""

from __future__ import annotations

import configparser
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["BEGIN", "END", "main"]

BEGIN, END = "<<<postcopy-rows", "postcopy-rows>>>"

# Where deployments that bring their own Python keep its packages; the driver is Python alone.
_PACKAGES = (
    "/var/lib/kolla/venv/lib/python3*/site-packages",
    "/openstack/venvs/nova-*/lib/python3*/site-packages",
    "/opt/stack/data/venv/lib/python3*/site-packages",
)
_SECONDS = 10


def main(request: Mapping[str, Any]) -> None:
    """Do what a request says and print what came of it."""
    try:
        database = _Database(_address(request["conf"]), writes=bool(request.get("changes")))
        try:
            told = database.look(request)
            if request.get("changes"):
                told["written"] = database.change(request["changes"])
                told["after"] = database.look(request)
        finally:
            database.close()
    except Exception as error:  # noqa: BLE001 - whatever a driver raises is an answer
        told = {"error": f"{type(error).__name__}: {error}"}
    print(BEGIN, json.dumps(told, default=str), END, sep="\n", flush=True)


def _address(conf: str) -> str:
    """Return the address of the database, as oslo.config reads files: the last one counts."""
    address = ""
    for path in (Path(conf), *sorted(Path(f"{conf}.d").glob("*.conf"))):
        parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
        # What stands before the first section is nobody's.
        parser.read_string("[nowhere]\n" + path.read_text(encoding="utf-8", errors="replace"))
        address = parser.get("database", "connection", fallback=address)
    if not address:
        raise ValueError(f"{conf} has no connection in its section database")
    return address


class _Database:
    """A connection, and a transaction that lasts until it is closed."""

    def __init__(self, address: str, *, writes: bool) -> None:
        parts = urlsplit(address)
        kind = parts.scheme.partition("+")[0]
        self._mark = "%s"
        self._lock = ""
        if kind == "sqlite":
            import sqlite3

            self._connection: Any = sqlite3.connect(parts.path)
            self._connection.execute("BEGIN IMMEDIATE")
            self._mark = "?"
        elif kind in ("mysql", "mariadb"):
            self._connection = _mysql(parts)
            self._lock = " FOR UPDATE" if writes else ""
        else:
            raise ValueError(f"databases of kind {kind} are not known here")

    def look(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the rows that a server's place is in."""
        server = request["server"]
        extra = self._one(
            "instance_extra", {"instance_uuid": server, "deleted": 0}, "migration_context"
        )
        node = {"host": request["host"], "hypervisor_hostname": request["node"], "deleted": 0}
        return {
            "instances": self._one("instances", {"uuid": server, "deleted": 0}),
            "migrations": self._one("migrations", {"id": request["migration"]}),
            "compute_nodes": self._one("compute_nodes", node, "id, uuid"),
            "context": bool((extra or {}).get("migration_context")),
        }

    def change(self, changes: Sequence[Mapping[str, Any]]) -> int:
        """Make all changes, or none; return how many rows there were."""
        for one in changes:
            names, values = list(one["values"]), list(one["values"].values())
            where, expected = self._where(one["expected"])
            assignments = ", ".join(f"{name} = {self._mark}" for name in names)
            cursor = self._connection.cursor()
            cursor.execute(
                f"UPDATE {one['table']} SET {assignments} WHERE {where}", [*values, *expected]
            )
            if cursor.rowcount != 1:
                self._connection.rollback()
                raise ValueError(
                    f"{cursor.rowcount} rows of {one['table']} are as expected, not one: somebody"
                    " else has changed them; nothing was written"
                )
        self._connection.commit()
        return len(changes)

    def close(self) -> None:
        """Let go of it; what was not committed has not happened."""
        self._connection.rollback()
        self._connection.close()

    def _one(
        self, table: str, wanted: Mapping[str, Any], columns: str = "*"
    ) -> dict[str, Any] | None:
        where, values = self._where(wanted)
        cursor = self._connection.cursor()
        cursor.execute(f"SELECT {columns} FROM {table} WHERE {where}{self._lock}", values)
        rows = cursor.fetchall()
        if len(rows) > 1:
            raise ValueError(f"{table} has {len(rows)} such rows")
        names = [column[0] for column in cursor.description]
        return dict(zip(names, rows[0])) if rows else None  # noqa: B905 - `strict` is of 3.10

    def _where(self, wanted: Mapping[str, Any]) -> tuple[str, list[Any]]:
        parts, values = [], []
        for name, value in wanted.items():
            parts.append(f"{name} IS NULL" if value is None else f"{name} = {self._mark}")
            values += [] if value is None else [value]
        return " AND ".join(parts), values


def _mysql(parts: Any) -> Any:
    for pattern in _PACKAGES:
        sys.path += sorted(str(path) for path in Path("/").glob(pattern.lstrip("/")))
    import pymysql

    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    more: dict[str, Any] = {}
    if "unix_socket" in query:
        more["unix_socket"] = query["unix_socket"]
    files = {name: query.get(f"ssl_{name}") for name in ("ca", "cert", "key")}
    if secure := {name: file for name, file in files.items() if file}:
        more["ssl"] = secure
    return pymysql.connect(
        host=parts.hostname or "localhost", port=parts.port or 3306,
        user=unquote(parts.username or ""), password=unquote(parts.password or ""),
        database=parts.path.lstrip("/"), charset=query.get("charset", "utf8mb4"),
        connect_timeout=_SECONDS, read_timeout=_SECONDS, write_timeout=_SECONDS, **more,
    )  # fmt: skip
