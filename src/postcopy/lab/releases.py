"""Which Debian each host of a lab is made of.

`RELEASES` are those that there are, oldest first, and `parse` reads what a user writes: one for
both hosts (``trixie``), or one a host (``alpha=bookworm,beta=trixie``), as halfway through a
rolling upgrade.
"""

import re
from collections.abc import Iterable, Mapping

from postcopy.errors import NotFoundError, UsageError
from postcopy.lab import names
from postcopy.lab.bootstrap import Release
from postcopy.lab.openstack import packages as cloud

__all__ = [
    "DEFAULT_RELEASE",
    "RELEASES",
    "common_machine",
    "oldest",
    "parse",
    "parse_for_cloud",
    "release",
    "spell",
]

DEFAULT_RELEASE = "trixie"

_PACKAGES = (
    *("qemu-system-x86", "qemu-utils", "libvirt-daemon", "libvirt-clients"),
    *("libvirt-daemon-driver-qemu", "openssh-server", "openssh-client"),
    *("python3", "iproute2", "procps", "nftables"),
)

# libvirt's storage driver was a part of libvirt-daemon until Debian 12.
_SPLIT = (*_PACKAGES, "libvirt-daemon-driver-storage")

# Debian 12's own QEMU, 7.2, corrupts the memory of emulated guests when it migrates them.
_BACKPORTS = ("qemu", "seabios")

RELEASES = {
    "bookworm": Release(
        "bookworm",
        "bookworm",
        _PACKAGES,
        keys="bookworm",
        backports=_BACKPORTS,
        # Made there by a package that would bring systemd along.
        accounts=("libvirt-qemu",),
    ),
    "trixie": Release("trixie", "trixie", _SPLIT, keys="trixie"),
    cloud.OLDER_RELEASE: Release(
        cloud.OLDER_RELEASE,
        "bookworm",
        (*_PACKAGES, *cloud.PACKAGES),
        keys="bookworm",
        backports=_BACKPORTS,
        needed_bytes=cloud.NEEDED_BYTES,
    ),
    cloud.RELEASE: Release(
        cloud.RELEASE,
        "trixie",
        (*_SPLIT, *cloud.PACKAGES),
        keys="trixie",
        needed_bytes=cloud.NEEDED_BYTES,
    ),
    "sid": Release("sid", "sid", _SPLIT, keys="trixie"),
}


def release(name: str) -> Release:
    """Return the release of that name.

    :raises NotFoundError: when hosts cannot be made of it.
    """
    try:
        return RELEASES[name]
    except KeyError:
        raise NotFoundError(
            f"there is no release {name!r} for lab hosts", hint=f"there is: {', '.join(RELEASES)}"
        ) from None


def parse(text: str | None) -> dict[str, str]:
    """Return the release of each host that runs guests; those that are not named get the default.

    :param text: a release, or ``HOST=RELEASE`` with commas between them; None is the default.
    :raises UsageError: when it makes no sense, names an unknown host, or names one twice.
    :raises NotFoundError: when hosts cannot be made of that release.
    """
    if text is None:
        return dict.fromkeys(names.HOSTS, DEFAULT_RELEASE)
    if "=" not in text and "," not in text:
        return dict.fromkeys(names.HOSTS, release(text.strip()).name)
    chosen: dict[str, str] = {}
    for part in text.split(","):
        host, equals, name = (piece.strip() for piece in part.partition("="))
        if not (host and equals and name):
            raise UsageError(
                f"{part!r} in {text!r} is not HOST=RELEASE",
                hint="write one release for both hosts, or alpha=bookworm,beta=trixie",
            )
        if host not in names.HOSTS:
            raise UsageError(
                f"there is no host {host!r} to be made of {name}",
                hint=f"a lab has {' and '.join(names.HOSTS)}",
            )
        if host in chosen:
            raise UsageError(
                f"host {host} is named twice in {text!r}", hint="name each host once at most"
            )
        chosen[host] = release(name).name
    return {host: chosen.get(host, DEFAULT_RELEASE) for host in names.HOSTS}


def parse_for_cloud(text: str | None) -> dict[str, str]:
    """Return the release of each host of a lab with a cloud, its controller among them.

    :param text: as for `parse`.
    :raises UsageError: when it makes no sense, or is not one that has OpenStack.
    :raises NotFoundError: when hosts cannot be made of that release.
    """
    wanted = parse(cloud.RELEASE if text is None else text)
    different = set(wanted.values())
    if len(different) > 1 or not different.issubset(cloud.RELEASES):
        raise UsageError(
            f"hosts of a cloud cannot be made of {text}: they want one release with OpenStack",
            hint=f"leave --release out, or name one of {', '.join(cloud.RELEASES)}",
        )
    return {**wanted, names.CONTROLLER: different.pop()}


def spell(releases: Mapping[str, str]) -> str:
    """Return the shortest text that `parse` reads as these."""
    different = set(releases.values())
    if len(different) == 1:
        return different.pop()
    return ",".join(f"{host}={name}" for host, name in releases.items())


def oldest(chosen: Iterable[str]) -> str:
    """Return the oldest of these releases: what it has to offer, the others can use too."""
    return min(chosen, key=list(RELEASES).index)


def common_machine(qemu_versions: Iterable[str]) -> str:
    """Return the QEMU machine type that a guest needs to run on all of these hosts.

    Where QEMUs are of one series that is ``pc``, for libvirt to make a version of. Where they
    differ it is the oldest one's: newer ones know it too.

    :param qemu_versions: of Debian's packages: ``1:10.0.13+ds-0+deb13u1``.
    """
    series = {_series(version) for version in qemu_versions}
    if len(series) == 1:
        return "pc"
    major, minor = min(series)
    return f"pc-i440fx-{major}.{minor}"


def _series(version: str) -> tuple[int, int]:
    match = re.match(r"(?:\d+:)?(\d+)\.(\d+)", version)
    if match is None:
        raise UsageError(f"{version!r} is not a version of QEMU", hint="as in 1:10.0.13+ds-1")
    return int(match[1]), int(match[2])
