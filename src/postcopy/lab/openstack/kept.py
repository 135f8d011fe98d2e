"""The databases of a new cloud, kept in the cache so that the next lab need not make them again.

::

    CACHE/openstack/RELEASE-DIGEST/mysql/    MariaDB's directory, as it was when that had ended

The digest covers the root's recipe and the modules that made the databases. A directory is filled
beside its place and renamed into it, so one that is there is whole.
"""

import contextlib
import hashlib
import json
import shutil
from pathlib import Path

from postcopy import paths, processes
from postcopy.errors import RetryableError
from postcopy.lab import lock
from postcopy.lab.host import Host
from postcopy.lab.openstack import catalog, databases
from postcopy.lab.openstack.packages import RELEASES
from postcopy.lab.root import Root

__all__ = ["keep", "put_back", "sweep"]

_DATABASES = "var/lib/mysql"


async def put_back(controller: Host, root: Root) -> bool:
    """Replace the controller's databases by those that were kept, or else by Debian's empty ones.

    MariaDB must not be running.

    :returns: whether there were kept ones.
    """
    kept = _place(root) / "mysql"
    source = kept if kept.is_dir() else root.directory / _DATABASES
    target = controller.root_dir / _DATABASES
    shutil.rmtree(target, ignore_errors=True)
    await _copy(source, target)
    return source == kept


async def keep(controller: Host, root: Root) -> None:
    """Keep the controller's databases, and forget those of older recipes of its release.

    MariaDB must have ended. Whoever makes the same at the same time keeps theirs; one is as good
    as the other.
    """
    place = _place(root)
    with contextlib.suppress(RetryableError):
        async with _holding():
            for old in [path for path in place.parent.iterdir() if path.is_dir()]:
                if not old.name.startswith(_of_others(root)):
                    shutil.rmtree(old, ignore_errors=True)
            building = place.parent / f".{place.name}.building"
            building.mkdir(mode=0o700)
            await _copy(controller.root_dir / _DATABASES, building / "mysql")
            building.replace(place)


async def sweep() -> None:
    """Remove what was not kept to its end."""
    if not any(_all().glob(".*.building")):
        return
    with contextlib.suppress(RetryableError):  # somebody is at it
        async with _holding():
            for path in _all().glob(".*.building"):
                shutil.rmtree(path, ignore_errors=True)


def _of_others(root: Root) -> tuple[str, ...]:
    return tuple(f"{name}-" for name in RELEASES if name != root.release)


def _holding() -> contextlib.AbstractAsyncContextManager[None]:
    return lock.hold(_all() / "keeping.lock", "the databases that are kept", patience=0)


def _all() -> Path:
    return paths.cache_dir() / "openstack"


async def _copy(source: Path, target: Path) -> None:
    await processes.run("cp", "--archive", "--reflink=auto", str(source), str(target))


def _place(root: Root) -> Path:
    recipe = json.loads((root.directory.parent / "manifest.json").read_text())["recipe"]
    modules = (databases, catalog)
    sources = "".join(Path(str(module.__file__)).read_text() for module in modules)
    digest = hashlib.sha256((recipe + sources).encode()).hexdigest()[:16]
    return _all() / f"{root.release}-{digest}"
