"""Taking a lab away, whole, half made, or half taken away, whoever made it and however that ended.

Nothing here trusts a record: processes are found by the marker in their environment and by the
network namespace they are in, links and namespaces by name.
"""

import asyncio
import contextlib
import shutil
from pathlib import Path

from postcopy import pids
from postcopy.errors import UnavailableError
from postcopy.lab import names, network, root, state
from postcopy.lab.openstack import kept

__all__ = ["remains", "take_away"]


async def take_away(lab: str) -> set[int]:
    """Remove every process, namespace, link and file of a lab; the caller holds the lab's lock.

    :returns: the ids of the processes that there were.
    :raises PostcopyError: when something cannot be removed; calling it again goes on from there.
    """
    marked = pids.has_environment(names.MARKER, lab)
    inside = pids.in_namespace("net", *names.namespaces(lab).values())
    ended = await pids.end(lambda pid: marked(pid) or inside(pid))
    async with network.changing():
        await network.delete(lab)
    layers = _layers(lab)
    for path in (*layers, state.directory(lab)):
        await asyncio.to_thread(_remove, path)
    await root.sweep()
    await kept.sweep()
    for parent in {path.parent for path in layers}:
        with contextlib.suppress(OSError):  # other labs have theirs there, or it never was
            parent.rmdir()
    return ended


async def remains(lab: str) -> bool:
    """Return whether there is anything of a lab."""
    return state.directory(lab).exists() or await network.exists(lab)


def _layers(lab: str) -> list[Path]:
    found = {state.layers_directory(lab)}
    with contextlib.suppress(UnavailableError):  # an unreadable record goes like everything else
        if record := state.LabRecord.load(lab):
            found.add(Path(record.layers))
    return sorted(found)


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)
