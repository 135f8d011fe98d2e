"""The program that a lab guest runs: it keeps memory busy and bears witness to it.

``witness.c`` is the guest's first and only process; its head says what it prints and obeys, and
``disk.h`` what it does with a disk. Start with `build`, which compiles it, and
`kernel_command_line`, which tells it what to do. What it
printed is read by `postcopy.lab.observer`.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

from postcopy import processes
from postcopy.errors import UnavailableError
from postcopy.lab.workload import Workload

__all__ = ["build", "kernel_command_line"]

_FLAGS = ("-std=c11", "-static", "-pthread", "-O2", "-Wall", "-Wextra", "-Werror")

_NO_LIBRARY = ("cannot find -lc", "fatal error: ")
"""What gcc says without the static library, and without its headers."""

_KERNEL = (
    "console=ttyS0",
    # A panic is printed all the same.
    "quiet",
    "panic=-1",
    # Without it a long freeze makes the kernel give the TSC up for the HPET. Reading that leaves
    # the guest, and waits for the lock that QEMU's migration and main loop hold.
    "tsc=reliable",
    "no_timer_check",
    # The rest saves about a quarter of the time to boot and to fill memory.
    "mitigations=off",
    "nokaslr",
    "cryptomgr.notests",
    "init_on_alloc=0",
)


def kernel_command_line(workload: Workload, disk: str | None = None) -> str:
    """Return the command line with which Debian's cloud kernel runs this workload under TCG.

    :param disk: the device, inside the guest, that it fills and rewrites as well.
    """
    return " ".join(
        (
            *_KERNEL,
            f"witness.cold={workload.cold_mib}",
            f"witness.hot={workload.hot_mib}",
            f"witness.rate={workload.rate}",
            f"witness.pattern={workload.pattern}",
            f"witness.seed={workload.seed}",
            *([f"witness.writers={workload.writers}"] if workload.writers > 1 else []),
            *([f"witness.disk={disk}"] if disk else []),
        )
    )


async def build(cache_dir: Path) -> Path:
    """Return the compiled witness, compiling it if this version of it never was.

    :param cache_dir: where the binary is kept, under a name made of its source's hash.
    :raises UnavailableError: when the C compiler or its static library is missing.
    """
    sources = _sources()
    version = hashlib.sha256(repr((sorted(sources.items()), _FLAGS)).encode()).hexdigest()[:16]
    binary = cache_dir / f"witness-{version}"
    if not binary.exists():
        with _scratch(cache_dir) as scratch:
            await _compile(sources, scratch / "witness")
            # Two labs may build at once: each puts a whole binary there.
            (scratch / "witness").replace(binary)
    return binary


def _sources() -> dict[str, bytes]:
    """Return the program's C files by name."""
    files = resources.files(__name__).iterdir()
    return {file.name: file.read_bytes() for file in files if file.name.endswith((".c", ".h"))}


@contextlib.contextmanager
def _scratch(cache_dir: Path) -> Iterator[Path]:
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir, prefix=".witness-") as name:
        yield Path(name)


async def _compile(sources: Mapping[str, bytes], binary: Path) -> None:
    for name, content in sources.items():
        (binary.parent / name).write_bytes(content)
    units = [str(binary.parent / name) for name in sorted(sources) if name.endswith(".c")]
    environment = {**os.environ, "LC_ALL": "C"}
    result = await processes.run(
        "gcc", *_FLAGS, "-o", str(binary), *units, env=environment, check=False
    )
    if result.returncode == 0:
        return
    if any(sign in result.stderr for sign in _NO_LIBRARY):
        raise UnavailableError(
            "gcc cannot build the guest's program: the static C library is missing (libc6-dev)",
            hint="`make setup` installs it",
        )
    raise UnavailableError(
        f"gcc cannot compile the guest's program: {result.stderr.strip()}",
        hint="`make setup` installs the compiler that this was written for",
    )
