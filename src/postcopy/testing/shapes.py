"""What answers of Keystone's and Nova's look like. Pure; compared with those of real clouds."""

from collections.abc import Mapping
from typing import Any

from postcopy.testing.cloud import FakeMigration

__all__ = ["Answer", "actions", "fault", "listed", "own", "server", "token", "version"]

Answer = tuple[int, Any]
"""A status, and what is to be JSON; None is no body."""

_CREATED, _UPDATED = "2026-01-01T00:00:00.000000", "2026-01-01T00:00:05.000000"
_PROJECT = {"id": "p1", "name": "admin", "domain": {"id": "default", "name": "Default"}}
_NOWHERE_YET = ("accepted", "error")
"""A migration that no host was chosen for."""


def token(urls: Mapping[str, str]) -> dict[str, Any]:
    """Return what Keystone says of a token.

    :param urls: the public address of each service, by its type.
    """
    catalog = [
        {
            "type": kind,
            "name": kind,
            "id": kind,
            "endpoints": [
                {"id": f"{kind}-1", "interface": "public", "region": "RegionOne",
                 "region_id": "RegionOne", "url": url}
            ],
        }
        for kind, url in urls.items()
    ]  # fmt: skip
    return {
        "methods": ["password"],
        "expires_at": "2999-01-01T00:00:00.000000Z",
        "issued_at": "2026-01-01T00:00:00.000000Z",
        "user": {"id": "u1", "name": "admin", "domain": _PROJECT["domain"]},
        "project": _PROJECT,
        "roles": [{"id": "r1", "name": "admin"}],
        "catalog": catalog,
    }


def version(url: str, newest: str) -> dict[str, Any]:
    """Return what Nova says of its API."""
    return {
        "id": "v2.1",
        "status": "CURRENT",
        "version": newest,
        "min_version": "2.1",
        "updated": "2013-07-23T11:33:21Z",
        "links": [{"rel": "self", "href": f"{url}/"}],
    }


def server(shown: Mapping[str, Any], minor: int) -> dict[str, Any]:
    """Return a server as a microversion of 2 shows it."""
    return {key: value for key, value in shown.items() if key != "locked" or minor >= 9}


def own(one: FakeMigration, server_id: str, minor: int) -> dict[str, Any]:
    """Return a migration as its server's own list shows it."""
    total, sent, left = one.figures or (None, None, None)
    disk = None if total is None else 0
    shown = {
        "id": one.id,
        "server_uuid": server_id,
        "status": one.status,
        **_hosts(one),
        "memory_total_bytes": total,
        "memory_processed_bytes": sent,
        "memory_remaining_bytes": left,
        "disk_total_bytes": disk,
        "disk_processed_bytes": disk,
        "disk_remaining_bytes": disk,
        "created_at": _CREATED,
        "updated_at": _UPDATED,
    }
    return {**shown, **({"uuid": one.uuid} if minor >= 59 else {})}


def listed(
    one: FakeMigration, server_id: str, links: list[dict[str, str]], minor: int
) -> dict[str, Any]:
    """Return a migration as the list of all shows it.

    :param links: to where its server's own list shows it; empty where that does not.
    """
    shown: dict[str, Any] = {
        "id": one.id,
        "instance_uuid": server_id,
        "status": one.status,
        **_hosts(one),
        "old_instance_type_id": 1,
        "new_instance_type_id": 1,
        "created_at": _CREATED,
        "updated_at": None if one.status == "accepted" else _UPDATED,
    }
    if minor >= 23:
        shown |= {"migration_type": "live-migration", **({"links": links} if links else {})}
    if minor >= 59:
        shown["uuid"] = one.uuid
    return shown


def _hosts(one: FakeMigration) -> dict[str, str | None]:
    there = None if one.status in _NOWHERE_YET else one.destination
    return {
        "source_compute": one.source,
        "source_node": None if one.status == "accepted" else one.source,
        "dest_compute": there,
        "dest_node": there,
        "dest_host": None,
    }


def actions(whole: bool, reason: str, minor: int) -> dict[str, Any]:
    """Return what Nova noted of a server's actions: a list, or all of the one that failed.

    :param reason: why it did.
    """
    action = {"action": "live-migration", "request_id": "req-1", "message": None}
    if not whole:
        return {"instanceActions": [{"action": "create", "request_id": "req-0"}, action]}
    event = {"event": "conductor_live_migrate_instance", "result": "Error", "traceback": None}
    more = {"details": reason} if minor >= 84 else {"traceback": reason}
    return {"instanceAction": {**action, "message": "Error", "events": [{**event, **more}]}}


def fault(status: int, kind: str, message: str) -> Answer:
    """Return a refusal."""
    return status, {kind: {"code": status, "message": message}}
