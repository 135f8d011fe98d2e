"""The guest's first root file system: an initramfs, written here in the kernel's own format.

The kernel unpacks a cpio archive in the "newc" format into its root and starts ``/init`` there
(Documentation/driver-api/early-userspace/buffer-format.rst). Nothing but a header for each entry is
needed for that, so no tool has to be installed for it, and the result depends on its input alone.
"""

import lzma
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from postcopy.errors import UsageError

__all__ = [
    "CharacterDevice",
    "Directory",
    "Entry",
    "File",
    "build_initramfs",
    "module",
    "write_archive",
]

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"
_LARGEST_FILE = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory; its parents come before it in the archive."""

    name: str
    permissions: int = 0o755


@dataclass(frozen=True, slots=True)
class File:
    """A regular file with its content."""

    name: str
    content: bytes
    permissions: int = 0o644


@dataclass(frozen=True, slots=True)
class CharacterDevice:
    """A character device's node."""

    name: str
    major: int
    minor: int
    permissions: int = 0o600


Entry = Directory | File | CharacterDevice


def build_initramfs(init: Path, modules: Iterable[Path] = ()) -> bytes:
    """Return an uncompressed initramfs whose ``/init`` is the program in that file.

    ``/dev/console`` is there from the beginning because the kernel opens it for init before init
    can mount anything. Not compressed: unpacking costs an emulated guest more than reading.

    :param init: a static executable.
    :param modules: kernel modules, compressed by xz or not at all; they come to lie in the root.
    """
    return write_archive(
        [
            Directory("dev"),
            CharacterDevice("dev/console", 5, 1),
            Directory("proc"),
            Directory("sys"),
            File("init", init.read_bytes(), permissions=0o755),
            *map(module, modules),
        ]
    )


def module(path: Path) -> File:
    """Return a kernel module as a file of an archive's root, uncompressed.

    :raises UsageError: when it is in a format that is not known here.
    """
    content = path.read_bytes()
    match path.suffix:
        case ".ko":
            return File(path.name, content)
        case ".xz":
            return File(path.stem, lzma.decompress(content))
    raise UsageError(
        f"{path} is a kernel module in a format that is not known here",
        hint="uncompressed modules (.ko) and those compressed by xz (.ko.xz) can be used",
    )


def write_archive(entries: Iterable[Entry]) -> bytes:
    """Return a newc archive of the entries, in their order, all owned by root and dated 1970.

    :raises UsageError: for a name that the format cannot carry, or a file of 4 GiB or more.
    """
    archive = bytearray()
    for inode, entry in enumerate(entries, start=1):
        _check(entry)
        _append(archive, inode, entry)
    _append(archive, 0, None)
    return bytes(archive)


def _check(entry: Entry) -> None:
    name = entry.name
    if not name or name.startswith("/") or "\0" in name or name == _TRAILER:
        raise UsageError(
            f"{name!r} cannot be the name of an archive's entry",
            hint="write it relative to the root: dev/console",
        )
    if isinstance(entry, File) and len(entry.content) > _LARGEST_FILE:
        raise UsageError(f"{name} has {len(entry.content)} bytes, and newc carries 4 GiB at most")


def _append(archive: bytearray, inode: int, entry: Entry | None) -> None:
    mode, links, content, major, minor = 0, 1, b"", 0, 0
    match entry:
        case Directory():
            mode, links = stat.S_IFDIR | entry.permissions, 2
        case File():
            mode, content = stat.S_IFREG | entry.permissions, entry.content
        case CharacterDevice():
            mode = stat.S_IFCHR | entry.permissions
            major, minor = entry.major, entry.minor
    name = (entry.name if entry else _TRAILER).encode("utf-8", "surrogateescape") + b"\0"
    owner = group = modified = checksum = container_major = container_minor = 0
    fields = (
        inode,
        mode,
        owner,
        group,
        links,
        modified,
        len(content),
        container_major,
        container_minor,
        major,
        minor,
        len(name),
        checksum,
    )
    archive += _MAGIC + b"".join(b"%08X" % field for field in fields) + name
    _pad(archive)
    archive += content
    _pad(archive)


def _pad(archive: bytearray) -> None:
    """Align to four bytes, where the kernel looks for the next part."""
    archive += bytes(-len(archive) % 4)
