"""Making a Debian root out of packages: mmdebstrap, its recipe, and its complaints in words.

The packages are verified with the archive's keys that this machine has; nothing is installed on
the machine itself.
"""

import hashlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from postcopy import processes
from postcopy.errors import UnavailableError
from postcopy.lab import tethered
from postcopy.units import format_bytes

__all__ = ["MARKER", "Release", "build", "check_machine", "fetch_kernel", "recipe", "unpack"]


MARKER = "POSTCOPY_ROOT_BUILD"
"""In the environment of every process of a build; its value is the directory that it fills."""

NEEDED_BYTES = 1_500_000_000
"""While a plain root is built: packages, what they unpack to, and the kernel's package twice."""

_KEYRINGS = Path("/usr/share/keyrings")
_KERNEL = "linux-image-cloud-amd64"
_UNWANTED = ("doc", "doc-base", "info", "lintian", "locale", "man")


def fetch_kernel(*drivers: str) -> str:
    """Return a hook of mmdebstrap's that puts the guests' kernel and some drivers beside the root.

    It runs outside the root with the root's package lists; $1 is the root. The metapackage is
    followed to the packages that have the kernel (after Debian 13 they are one further on), of
    which only the image is kept, and the drivers that guests need and Debian has as modules.

    :param drivers: their paths below the kernel's modules, without the ending.
    """
    wanted = " ".join(f"'*/kernel/{driver}.ko*'" for driver in drivers)
    moved = "\n".join(
        f"find . -type f -name '{driver.rpartition('/')[2]}.ko*' -exec mv '{{}}' ../modules ';'"
        for driver in drivers
    )
    return f"""
set -eu
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
cd "${MARKER}"
image=$(apt-cache depends {_KERNEL} | sed -n 's/^ *Depends: \\(linux-image-.*\\)$/\\1/p')
more=$(apt-cache depends "$image" |
    sed -n 's/^ *Depends: \\(linux-\\(binary\\|modules\\)-.*\\)$/\\1/p')
mkdir kernel
cd kernel
apt-get -o APT::Sandbox::User=root -qq download "$image" $more
dpkg-deb --field ./linux-image-*.deb Version > ../kernel-version
for package in ./*.deb; do
    dpkg-deb --fsys-tarfile "$package" |
        tar --extract --wildcards '*/vmlinuz*' {wanted} || :
done
mkdir ../modules
find . -type f -name 'vmlinuz*' -exec mv '{{}}' ../vmlinuz ';'
{moved}
test -s ../vmlinuz
test -n "$(ls ../modules)"
cd ..
rm -r kernel
"""


_FETCH_KERNEL = fetch_kernel("drivers/block/virtio_blk")

# Of invoke-rc.d: no package starts what it brings.
_NO_SERVICES = """
printf '#!/bin/sh\\nexit 101\\n' > "$1/usr/sbin/policy-rc.d"
chmod 755 "$1/usr/sbin/policy-rc.d"
"""


@dataclass(frozen=True)
class Release:
    """A Debian release that hosts can be made of.

    :ivar suite: its name in the archive.
    :ivar packages: what hosts need beyond the essential packages.
    :ivar keys: the release whose keys the archive signs the suite with; sid has none of its own.
    :ivar backports: source packages that are taken from the release's backports, and nothing else.
    :ivar accounts: users that its packages want and do not make.
    :ivar needed_bytes: on the disk, while it is built.
    """

    name: str
    suite: str
    packages: tuple[str, ...]
    keys: str
    backports: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    needed_bytes: int = NEEDED_BYTES


async def build(wanted: Release, building: Path, progress: Callable[[str], None]) -> None:
    """Fill an empty directory with a root, a kernel and a manifest.

    :raises UnavailableError: when a package, a key or space for them is not to be had.
    """
    progress(f"building the root of {wanted.name}: this is done once")
    await unpack(wanted, building, progress)
    progress("writing the manifest")
    versions = await processes.run(
        "dpkg-query",
        f"--admindir={building / 'root/var/lib/dpkg'}",
        "--show",
        "--showformat=${Package} ${Version}\n",
    )
    packages = dict(line.split(" ") for line in versions.stdout.splitlines())
    manifest = {
        "recipe": recipe(wanted),
        "qemu_version": packages["qemu-system-x86"],
        "libvirt_version": packages["libvirt-daemon"],
        "kernel_version": (building / "kernel-version").read_text().strip(),
        "packages": packages,
    }
    (building / "kernel-version").unlink()
    (building / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


async def unpack(
    wanted: Release,
    building: Path,
    progress: Callable[[str], None],
    kernel_hook: str = _FETCH_KERNEL,
) -> None:
    """Make a root in an empty directory's ``root``, with what `fetch_kernel` puts beside it.

    :raises UnavailableError: when a package, a key or space for them is not to be had.
    """

    def report(line: str) -> None:
        told = line.startswith("I: ")
        if told and "-hook" not in line and "signal" not in line:
            progress(line.removeprefix("I: ").removesuffix("..."))

    # Nothing of a build outlives this process, even when that is killed.
    tethered_to_this = [sys.executable, "-I", "-S", tethered.__file__, str(os.getpid())]
    environment = {
        **os.environ,
        MARKER: str(building),
        "LC_ALL": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
    }
    try:
        await processes.stream(
            *tethered_to_this,
            *_mmdebstrap(wanted, building / "root", kernel_hook),
            on_line=report,
            env=environment,
        )
    except processes.CommandError as error:
        raise _explained(wanted, error) from error


def _mmdebstrap(wanted: Release, target: Path, kernel_hook: str) -> list[str]:
    mirror = os.environ.get("POSTCOPY_MIRROR")
    return [
        "mmdebstrap",
        "--mode=root",
        # mmdebstrap's own default mirrors come with the security updates
        *(f"--keyring={path}" for path in _keyrings(wanted)),
        *_options(wanted),
        # Not a part of the recipe: what is made is the same.
        *(['--aptopt=Acquire::Check-Valid-Until "false"'] if _takes_stale() else []),
        f"--customize-hook={kernel_hook}",
        wanted.suite,
        str(target),
        *([mirror] if mirror else []),
    ]


def _takes_stale() -> bool:
    return os.environ.get("POSTCOPY_STALE_MIRROR") == "1"


def _options(wanted: Release) -> list[str]:
    return [
        "--variant=essential",
        f"--include={','.join(wanted.packages)}",
        *(["--setup-hook=" + _backports_hook(wanted)] if wanted.backports else []),
        '--aptopt=APT::Install-Recommends "false"',
        "--dpkgopt=force-unsafe-io",
        *(f"--customize-hook={_account_hook(name)}" for name in wanted.accounts),
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _UNWANTED),
        f"--essential-hook={_NO_SERVICES}",
    ]


def _account_hook(name: str) -> str:
    return f'chroot "$1" useradd --system --user-group --home-dir /nonexistent {name}'


def _backports_hook(wanted: Release) -> str:
    """Return what gives the root being made, $1, its backports, from the mirror of the rest."""
    suite = f"{wanted.suite}-backports"
    pins = "".join(
        f"Package: src:{name}\nPin: release n={suite}\nPin-Priority: 990\n\n"
        for name in wanted.backports
    )
    return f"""
set -eu
cd "$1/etc/apt"
sed -n 's/ {wanted.suite} main/ {suite} main/p' sources.list > sources.list.d/backports.list
mkdir -p preferences.d
printf '%s' '{pins}' > preferences.d/backports
"""


def recipe(wanted: Release) -> str:
    """Return what changes whenever a root would be made in another way."""
    parts = [asdict(wanted), _options(wanted), _FETCH_KERNEL]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _explained(wanted: Release, error: processes.CommandError) -> UnavailableError:
    lines = [line for line in error.stderr.splitlines() if line.startswith("E: ")]
    told = "\n".join(lines[:2]) or error.stderr[-500:]
    if "NO_PUBKEY" in error.stderr:
        hint = "keys that sign it are missing: install a newer debian-archive-keyring"
    elif any(
        word in error.stderr for word in ("No space left", "You don't have enough free space")
    ):
        hint = "free some space, or set POSTCOPY_CACHE_DIR to a directory elsewhere"
    elif "is expired" in error.stderr:
        hint = (
            "that is an old copy of the archive: POSTCOPY_MIRROR may name another, and"
            " POSTCOPY_STALE_MIRROR=1 takes this one, whose signatures are verified all the same"
        )
    elif any(
        word in error.stderr
        for word in ("resolving", "Could not resolve", "connect to", "Failed to fetch", "timed out")
    ):
        hint = "is the network up? POSTCOPY_MIRROR may name another Debian mirror"
    else:
        hint = "the messages above are mmdebstrap's"
    return UnavailableError(f"cannot build the root of {wanted.name}: {told}", hint=hint)


def check_machine(wanted: Release, cache: Path) -> None:
    """Look for what a build needs before it starts.

    :raises UnavailableError: when something is missing, with what to do about it.
    """
    if platform.machine() != "x86_64":
        raise UnavailableError(
            f"lab hosts are x86_64, this machine is {platform.machine()}",
            hint="use an x86_64 machine; a virtual one will do",
        )
    for name in ("mmdebstrap", "dpkg-query", "apt-get"):
        processes.program(name)
    _keyrings(wanted)
    free = shutil.disk_usage(cache).free
    if free < wanted.needed_bytes:
        raise UnavailableError(
            f"{cache} has {format_bytes(free)} left, and building a root takes "
            f"{format_bytes(wanted.needed_bytes)}",
            hint="free some space, or set POSTCOPY_CACHE_DIR to a directory elsewhere",
        )


def _keyrings(wanted: Release) -> list[Path]:
    """Return the machine's files with the keys that the archive's release is signed with."""
    found = [
        path
        for stem in (f"debian-archive-{wanted.keys}-*", "debian-archive-keyring")
        for suffix in ("gpg", "pgp")
        for path in sorted(_KEYRINGS.glob(f"{stem}.{suffix}"))
    ]
    if not any(wanted.keys in path.name for path in found):
        raise UnavailableError(
            f"the keys of Debian {wanted.keys}, which sign {wanted.name}, are not in {_KEYRINGS}",
            hint="install a newer debian-archive-keyring: `apt-get install debian-archive-keyring`",
        )
    return found
