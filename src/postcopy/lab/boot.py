"""What a guest boots from, made once and put where a host can read it."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from postcopy.lab import recorder, witness
from postcopy.lab.host import Host
from postcopy.lab.initramfs import build_initramfs
from postcopy.lab.lab import Lab
from postcopy.lab.releases import common_machine, oldest
from postcopy.lab.root import Root
from postcopy.lab.services.image import Image
from postcopy.lab.services.image import ensure as ensure_image
from postcopy.lab.services.service import find_service
from postcopy.paths import cache_dir

__all__ = ["INSIDE", "BootFiles", "provide_boot_files"]

INSIDE = PurePosixPath("/run/postcopy")
"""The host's runtime directory, as seen inside the host."""


@dataclass(frozen=True, slots=True)
class BootFiles:
    """Paths inside a host: what QEMU boots, and the program that records what the guest says.

    :ivar machine: QEMU's machine type, one that every host of the lab knows.
    """

    kernel: PurePosixPath
    initramfs: PurePosixPath
    recorder: PurePosixPath
    machine: str


async def provide_boot_files(lab: Lab, host: Host, service: str | None = None) -> BootFiles:
    """Put today's kernel, initramfs and recorder into a host, and return where they are.

    :param service: a server of `postcopy.lab.services` that the guest runs as well.

    The kernel is the same in every host, the oldest one's: a QEMU that receives a guest loads it
    too, and its size has to be what the guest saw.
    """
    roots = {root.release: root for root in lab.roots().values()}
    root = roots[oldest(roots)]
    program = await witness.build(cache_dir() / "guest")
    kernel, initramfs, names = root.kernel, _initramfs(program, root), ("vmlinuz", program.name)
    if service is not None:
        image = await ensure_image(find_service(service))
        kernel, initramfs = image.kernel, _with_service(initramfs, image)
        names = (f"{service}-vmlinuz", f"{program.name}-{service}")
    return BootFiles(
        _provide(host, kernel, names[0]),
        _provide(host, initramfs, f"{names[1]}.cpio"),
        _provide(host, Path(recorder.__file__), Path(recorder.__file__).name),
        common_machine(root.qemu_version for root in roots.values()),
    )


def _provide(host: Host, path: Path, name: str) -> PurePosixPath:
    target = host.runtime_dir / name
    if not target.exists() or target.stat().st_mtime < path.stat().st_mtime:
        part = target.with_suffix(f".{os.getpid()}.part")
        shutil.copyfile(path, part)
        part.replace(target)
    return INSIDE / name


def _initramfs(program: Path, root: Root) -> Path:
    """Return an initramfs with the witness and the kernel's drivers, making it if there is none."""
    image = program.with_name(f"{program.name}-{root.kernel_version}.cpio")
    if not image.exists():
        part = image.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(build_initramfs(program, sorted(root.modules.iterdir())))
        part.replace(image)
    return image


def _with_service(initramfs: Path, image: Image) -> Path:
    """Return the server's archive with the witness's behind it, making it if there is none."""
    both = image.archive.with_name(f"{initramfs.stem}-{image.archive.name}")
    if not both.exists():
        part = both.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(image.archive.read_bytes() + initramfs.read_bytes())
        part.replace(both)
    return both
