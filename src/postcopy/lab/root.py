"""The Debian that lab hosts are made of: built once for each release, kept in the cache.

::

    CACHE/roots/RELEASE/root/          the root file system, never written to again
                        vmlinuz        the kernel for guests, Debian's for clouds
                        modules/       drivers of that kernel that guests need
                        manifest.json  what is in it, and the recipe it was made by

A root is built beside its place and renamed into it, so one that is there is whole. `find` looks
whether there is one, `ensure` builds it when there is none or the recipe has changed.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from postcopy import paths, pids
from postcopy.errors import PermissionDeniedError, RetryableError
from postcopy.lab import bootstrap, lock
from postcopy.lab.bootstrap import Release
from postcopy.lab.releases import RELEASES

__all__ = ["Root", "ensure", "find", "sweep"]

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Root:
    """A root in the cache.

    :ivar directory: the root file system.
    :ivar kernel: the kernel image for guests.
    :ivar modules: a directory with drivers for it.
    :ivar qemu_version: of Debian's package, as are the others.
    :ivar libvirt_version: of libvirtd.
    :ivar kernel_version: of the kernel for guests.
    """

    release: str
    directory: Path
    kernel: Path
    modules: Path
    qemu_version: str
    libvirt_version: str
    kernel_version: str


def find(wanted: Release) -> Root | None:
    """Return the root of a release if the cache has one made by today's recipe."""
    place = _place(wanted)
    try:
        manifest = json.loads((place / "manifest.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    if manifest.get("recipe") != bootstrap.recipe(wanted):
        return None
    return Root(
        wanted.name,
        place / "root",
        place / "vmlinuz",
        place / "modules",
        manifest["qemu_version"],
        manifest["libvirt_version"],
        manifest["kernel_version"],
    )


async def ensure(wanted: Release, progress: Progress) -> Root:
    """Return the root of a release, building it first if need be; under a minute on two cores.

    :raises PermissionDeniedError: when not root.
    :raises UnavailableError: when the disk, the network, a key or a program is missing.
    """
    if root := find(wanted):
        return root
    if os.geteuid() != 0:
        raise PermissionDeniedError("building a root for hosts needs root", hint="use sudo")
    path = _roots() / f"{wanted.name}.lock"
    async with lock.hold(path, f"the root of {wanted.name}", patience=None, on_wait=progress):
        if root := find(wanted):
            return root
        await _clear(wanted.name)
        bootstrap.check_machine(wanted, _roots())
        building = _roots() / f".{wanted.name}.building"
        try:
            building.mkdir()
            await bootstrap.build(wanted, building, progress)
            _install(wanted, building)
        finally:
            await _clear(wanted.name)
    root = find(wanted)
    assert root is not None
    return root


async def sweep() -> None:
    """Remove what killed builds have left, and roots of old recipes that no host uses any more."""
    for name in RELEASES:
        if not any(_leftovers(name)):
            continue
        path = _roots() / f"{name}.lock"
        # Held: what is there is being built, and no leftover.
        with contextlib.suppress(RetryableError):
            async with lock.hold(path, f"the root of {name}", patience=0):
                await _clear(name)


def _install(wanted: Release, building: Path) -> None:
    place = _place(wanted)
    if place.exists():
        # Hosts may still be running on it: `_clear` looks, and a rename does not disturb them.
        number = sum(1 for _ in _roots().glob(f".{wanted.name}.old*"))
        place.rename(_roots() / f".{wanted.name}.old{number}-{os.getpid()}")
    building.rename(place)


def _leftovers(name: str) -> list[Path]:
    return [*_roots().glob(f".{name}.building"), *_roots().glob(f".{name}.old*")]


async def _clear(name: str) -> None:
    for path in _leftovers(name):
        # A build whose controller was killed a moment ago may not be quite dead.
        await pids.end(pids.has_environment(bootstrap.MARKER, str(path)))
        if not _in_use(path / "root"):
            await asyncio.to_thread(shutil.rmtree, path)


def _in_use(root: Path) -> bool:
    """Return whether a host holds the lock on its lower layer that `postcopy.lab.init` takes."""
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _place(wanted: Release) -> Path:
    return _roots() / wanted.name


def _roots() -> Path:
    return paths.cache_dir() / "roots"
