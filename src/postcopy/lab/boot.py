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


async def provide_boot_files(lab: Lab, host: Host) -> BootFiles:
    """Put today's kernel, initramfs and recorder into a host, and return where they are.

    The kernel is the same in every host, the oldest one's: a QEMU that receives a guest loads it
    too, and its size has to be what the guest saw.
    """
    roots = {root.release: root for root in lab.roots().values()}
    root = roots[oldest(roots)]
    program = await witness.build(cache_dir() / "guest")
    return BootFiles(
        _provide(host, root.kernel, root.kernel.name),
        _provide(host, _initramfs(program, root), f"{program.name}.cpio"),
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
