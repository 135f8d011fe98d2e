"""What two QEMUs can both do, asked of both and never guessed from versions."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from postcopy.errors import RefusedError
from postcopy.qemu.monitor import CommandError, Monitor

__all__ = ["Schema", "arm", "offered"]


class Schema:
    """The answer to ``query-qmp-schema``: a graph of types with meaningless names.

    Names other than those of commands and events are masked by QEMU, so a type is found by
    walking to it from a command that uses it (docs/devel/qapi-code-gen, "Client JSON Protocol
    introspection").
    """

    def __init__(self, entities: Iterable[Mapping[str, Any]]) -> None:
        self._entities = {entity["name"]: entity for entity in entities}

    def argument_values(self, command: str, *path: str) -> frozenset[str]:
        """Return the values of the enumeration that is reached from a command's arguments.

        :param path: the names of the members to follow; arrays are seen through.
        """
        entity = self._entities.get(command)
        if entity is None:
            return frozenset()
        entity = self._entities[entity["arg-type"]]
        for name in path:
            types = [m["type"] for m in entity.get("members", ()) if m["name"] == name]
            if not types:
                return frozenset()
            entity = self._entities[types[0]]
            if entity["meta-type"] == "array":
                entity = self._entities[entity["element-type"]]
        # "members" since QEMU 6.2, "values" before.
        values = [member["name"] for member in entity.get("members", ())]
        return frozenset(values or entity.get("values", ()))


async def offered(monitor: Monitor) -> frozenset[str]:
    """Return the migration capabilities that a QEMU knows."""
    schema = Schema(await monitor.execute("query-qmp-schema"))
    return schema.argument_values("migrate-set-capabilities", "capabilities", "capability")


async def arm(
    source: Monitor,
    destination: Monitor,
    *,
    needed: Iterable[str],
    wished: Iterable[str],
    unwanted: Iterable[str],
) -> frozenset[str]:
    """Switch capabilities on where both sides have them, and return those that are now on.

    :param needed: without these there is no migration.
    :param wished: good to have; one that a side lacks or rejects is left off on both.
    :param unwanted: off on both, also if an earlier migration left them on.
    :raises RefusedError: when a side lacks or rejects one that is needed.
    """
    sides = (destination, source)  # the destination first: it is the one with most to object
    offers = dict(zip(sides, await asyncio.gather(*map(offered, sides)), strict=True))
    for side, offer in offers.items():
        for name in needed:
            if name not in offer:
                raise RefusedError(
                    f"QEMU on {side.name} does not know the capability {name}",
                    hint="post-copy needs QEMU 2.6 or newer, built for a host with userfaultfd",
                )
    common = frozenset.intersection(*offers.values())
    off = [name for name in unwanted if name in common]
    if off:
        for side in sides:
            await _set(side, off, False)
    on: set[str] = set()
    for name in (*needed, *(name for name in wished if name in common)):
        try:
            for side in sides:
                await _set(side, [name], True)
        except CommandError as error:
            if name in needed:
                raise RefusedError(
                    error.message,
                    hint="usually userfaultfd is not permitted to the user that QEMU runs as:"
                    " vm.unprivileged_userfaultfd=1, or access to /dev/userfaultfd",
                ) from error
            for side in sides:
                await _set(side, [name], False)
        else:
            on.add(name)
    return frozenset(on)


async def _set(monitor: Monitor, names: Iterable[str], state: bool) -> None:
    wanted = [{"capability": name, "state": state} for name in names]
    await monitor.execute("migrate-set-capabilities", {"capabilities": wanted})
