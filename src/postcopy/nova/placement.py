"""Placement's API as far as the room of a server is concerned, in whose name it may be kept."""

from collections.abc import Mapping
from typing import Any

from postcopy.errors import NotFoundError
from postcopy.nova.api import NovaApi
from postcopy.nova.records import Allocations, Facts
from postcopy.nova.refusals import raise_for

__all__ = ["Placement"]

_MICROVERSION = "1.28"
"""The first one that changes several consumers' allocations at once, and not behind others' backs
(Rocky)."""


class Placement:
    """The Placement of the cloud that a `NovaApi` is of."""

    def __init__(self, api: NovaApi) -> None:
        self._api = api

    async def allocations(self, *consumers: str) -> Allocations:
        """Return what each consumer has, by the providers' names; one that has nothing is there."""

        def ask(cloud: Any) -> Allocations:
            found = {consumer: _told(cloud, consumer)["allocations"] for consumer in consumers}
            names = {uuid: _name(cloud, uuid) for one in found.values() for uuid in one}
            return {
                consumer: {names[uuid]: dict(told["resources"]) for uuid, told in one.items()}
                for consumer, one in found.items()
            }

        return await self._api.ask(ask)

    async def put_right(self, facts: Facts) -> None:
        """Have the server alone keep room, at its destination alone: all at once, or nothing.

        :raises NotFoundError: when no room is kept for it anywhere.
        :raises PostcopyError: when it was refused; nothing has changed then.
        """

        def act(cloud: Any) -> None:
            own, other = _told(cloud, facts.uuid), _told(cloud, facts.consumer)
            held = [*own["allocations"].values(), *other["allocations"].values()]
            if not held:
                raise NotFoundError(
                    f"no room is kept for server {facts.uuid}, so nobody knows how much it takes",
                    hint="nova-manage placement heal_allocations works it out",
                )
            there = _uuid(cloud, facts.node)
            room = (own["allocations"].get(there) or held[0])["resources"]
            # One that has nothing is not known yet, and is whose the other one is.
            whose = own if own["allocations"] else {**other, "consumer_generation": None}
            body = {facts.uuid: _claim(whose, {there: {"resources": room}})}
            if other["allocations"]:
                body[facts.consumer] = _claim(other, {})
            answer = cloud.placement.post("/allocations", json=body, microversion=_MICROVERSION)
            raise_for(answer, acts=True, who="Placement")

        await self._api.ask(act, acts=True)


def _told(cloud: Any, consumer: str) -> dict[str, Any]:
    return _get(cloud, f"/allocations/{consumer}")


def _claim(told: Mapping[str, Any], allocations: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("project_id", "user_id", "consumer_generation")
    return {"allocations": allocations, **{name: told.get(name) for name in kept}}


def _name(cloud: Any, uuid: str) -> str:
    return str(_get(cloud, f"/resource_providers/{uuid}").get("name", uuid))


def _uuid(cloud: Any, name: str) -> str:
    known = _get(cloud, "/resource_providers", {"name": name})["resource_providers"]
    return str(known[0]["uuid"])


def _get(cloud: Any, path: str, parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
    answer = cloud.placement.get(path, microversion=_MICROVERSION, params=dict(parameters or {}))
    raise_for(answer, acts=False, who="Placement")
    return dict(answer.json())
