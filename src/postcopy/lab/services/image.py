"""Initramfs with a server of Debian's: a root of mmdebstrap's, cut down to what the server needs.

::

    CACHE/services/RECIPE/vmlinuz       the guests' kernel
                          NAME.cpio     the server NAME, its libraries and drivers; no init

Libraries are those that the root's own ``ldd`` names. The witness, which is the guest's init, is in
an archive of its own behind it: the kernel unpacks one after the other.
"""

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from postcopy import paths, processes
from postcopy.errors import UnavailableError
from postcopy.lab import bootstrap, lock
from postcopy.lab.initramfs import Directory, Entry, File, write_archive
from postcopy.lab.initramfs import module as module_file
from postcopy.lab.releases import release
from postcopy.lab.services.service import SERVICES, Service

__all__ = ["Image", "ensure"]

_DEBIAN = bootstrap.Release(
    "services",
    "trixie",
    tuple(sorted({service.package for service in SERVICES.values()} | {"busybox-static"})),
    keys=release("trixie").keys,
)
# In the order in which they can be loaded.
_DRIVERS = ("net/core/failover", "drivers/net/net_failover", "drivers/net/virtio_net")

_START = """#!/bin/busybox sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
/bin/busybox --install -s /bin
for driver in {drivers}; do insmod "/$driver.ko"; done
ip link set lo up
ip addr add "$address" dev eth0
ip link set eth0 up
mkdir -p /dev/shm /tmp
mount -t tmpfs tmpfs /dev/shm
{start}
"""


@dataclass(frozen=True, slots=True)
class Image:
    """What a guest with a server boots."""

    kernel: Path
    archive: Path


async def ensure(service: Service, progress: Callable[[str], None] = lambda stage: None) -> Image:
    """Return the image of a server, making those of all servers first if need be.

    :raises UnavailableError: when the disk, the network, a key or a program is missing.
    """
    place = paths.cache_dir() / "services" / _recipe()
    image = Image(place / "vmlinuz", place / f"{service.name}.cpio")
    if image.archive.exists():
        return image
    path = place.with_suffix(".lock")
    async with lock.hold(path, "the servers for guests", patience=None, on_wait=progress):
        if not image.archive.exists():
            bootstrap.check_machine(_DEBIAN, place.parent)
            building = place.with_name(f".{place.name}.building")
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir()
            try:
                await _build(building, progress)
                building.rename(place)
            finally:
                await asyncio.to_thread(shutil.rmtree, building, ignore_errors=True)
    return image


async def _build(building: Path, progress: Callable[[str], None]) -> None:
    progress("building guests with servers: this is done once")
    await bootstrap.unpack(_DEBIAN, building, progress, bootstrap.fetch_kernel(*_DRIVERS))
    root = building / "root"
    for service in SERVICES.values():
        progress(f"making the image of {service.name}")
        if service.prepare:
            await _inside(root, "sh", "-euc", service.prepare)
        entries = await _entries(service, root, building / "modules")
        archive = await asyncio.to_thread(write_archive, entries)
        (building / f"{service.name}.cpio").write_bytes(archive)
    for leftover in ("root", "modules"):
        await asyncio.to_thread(shutil.rmtree, building / leftover)
    (building / "kernel-version").unlink()


async def _entries(service: Service, root: Path, modules: Path) -> list[Entry]:
    listed = await _inside(root, "ldd", *service.programs)
    # An executable's own name ends in a colon, and is no library.
    words = [word for line in listed.splitlines() for word in line.split()]
    libraries = {word for word in words if word.startswith("/") and not word.endswith(":")}
    wanted = {*service.programs, *libraries, "/etc/passwd", "/etc/group"}
    files: dict[str, Entry] = {}
    for name in sorted(wanted):
        _add(files, name, root)
    for tree in service.trees:
        for path in sorted((root / tree.lstrip("/")).rglob("*")):
            inside = f"/{path.relative_to(root)}"
            if path.is_dir():
                files[inside] = Directory(inside.lstrip("/"))
            else:
                _add(files, inside, root)
    drivers = [driver.rpartition("/")[2] for driver in _DRIVERS]
    script = _START.format(drivers=" ".join(drivers), start=service.start)
    files["/serve"] = File("serve", script.encode(), 0o755)
    busybox = (root / "usr/bin/busybox").read_bytes()
    files["/bin/busybox"] = File("bin/busybox", busybox, 0o755)
    files |= {f"/{one.name}": one for one in _drivers(modules)}
    return [*_parents(files), *files.values()]


def _drivers(modules: Path) -> list[File]:
    return [module_file(path) for path in sorted(modules.iterdir())]


def _add(files: dict[str, Entry], name: str, root: Path) -> None:
    path = root / name.lstrip("/")
    mode = path.stat().st_mode & 0o777
    files[name] = File(name.lstrip("/"), path.read_bytes(), mode)


def _parents(files: Iterable[str]) -> list[Entry]:
    """Return the directories that files lie in, the outer ones first."""
    found = {str(parent) for name in files for parent in Path(name).parents if str(parent) != "/"}
    known = set(files)
    return [Directory(name.lstrip("/")) for name in sorted(found) if name not in known]


async def _inside(root: Path, *command: str) -> str:
    """Run a command in the root and return what it said."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/"}
    program = processes.program("chroot")
    done = await processes.run(program, str(root), *command, env=environment, check=False)
    if done.returncode != 0:
        raise UnavailableError(
            f"a server cannot be prepared: {done.stderr.strip()[-500:]}",
            hint="the packages may have changed; the messages above are theirs",
        )
    return done.stdout


def _recipe() -> str:
    services = {name: asdict(service) for name, service in SERVICES.items()}
    parts = [bootstrap.recipe(_DEBIAN), services, _DRIVERS, _START]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
