"""Placement as far as a move of one server needs it: two hosts, and whose name room is kept in."""

from collections.abc import Mapping
from typing import Any

from postcopy.testing.cloud import FakeCloud

__all__ = ["answer"]

_HOSTS = {
    "alpha": "0a0a0a0a-0000-4000-8000-00000000000a",
    "beta": "0b0b0b0b-0000-4000-8000-00000000000b",
}
_ROOM = {"VCPU": 1, "MEMORY_MB": 1024}

Answer = tuple[int, Any]


def answer(
    cloud: FakeCloud, method: str, path: str, body: Mapping[str, Any], parameters: Mapping[str, str]
) -> Answer:
    """Answer one request to the Placement of a cloud."""
    if path.rstrip("/") == "":
        version = {"id": "v1.0", "status": "CURRENT", "min_version": "1.0", "max_version": "1.39",
                   "links": [{"rel": "self", "href": ""}]}  # fmt: skip
        return 200, {"versions": [version]}
    names = {uuid: name for name, uuid in _HOSTS.items()}
    if path == "/resource_providers":
        known = [{"uuid": uuid, "name": name} for uuid, name in names.items()]
        return 200, {"resource_providers": [
            one for one in known if parameters.get("name") in (None, one["name"])
        ]}  # fmt: skip
    kind, _, key = path.strip("/").partition("/")
    if kind == "resource_providers":
        return 200, {"uuid": key, "name": names[key]}
    if method == "POST":
        for consumer, told in body.items():
            if told["consumer_generation"] != (1 if consumer in cloud.allocations else None):
                return 409, {"errors": [{"status": 409, "detail": "consumer generation conflict"}]}
        for consumer, told in body.items():
            cloud.allocations.pop(consumer, None)
            for uuid in told["allocations"]:
                cloud.allocations[consumer] = names[uuid]
        return 204, None
    host = cloud.allocations.get(key)
    if host is None:
        return 200, {"allocations": {}}
    held = {_HOSTS[host]: {"generation": 2, "resources": _ROOM}}
    return 200, {
        "allocations": held, "project_id": "p1", "user_id": "u1", "consumer_generation": 1,
    }  # fmt: skip
