"""Refuses options that mean nothing to what moves a guest: each raises `UsageError`."""

from postcopy.cli.request import Request
from postcopy.errors import UsageError

__all__ = ["refuse_libvirt_options", "refuse_nova_options", "refuse_qemu_options"]


def refuse_nova_options(request: Request) -> None:
    """Refuse those of Nova's where there is no cloud."""
    if names := request.nova_names:
        raise UsageError(
            f"{', '.join(names)}: an option of migrations by Nova, without a cloud",
            hint="name the cloud: --os-cloud NAME, or OS_CLOUD; or leave it out",
        )


def refuse_libvirt_options(request: Request, what: str) -> None:
    """Refuse those of libvirt's.

    :param what: the guest that they mean nothing to, in words.
    """
    if names := request.libvirt_names:
        raise UsageError(
            f"{', '.join(names)}: an option of libvirt migrations, which means nothing to {what}",
            hint="leave it out; or, if the guest is a libvirt domain, say where it is: --from URI",
        )


def refuse_qemu_options(request: Request) -> None:
    """Refuse those of bare QEMUs for a guest of libvirt's."""
    if names := request.qemu_names:
        raise UsageError(
            f"{', '.join(names)}: an option for bare QEMUs, which means nothing to libvirt",
            hint="leave it out: libvirt talks to its QEMUs itself, and lets requested pages"
            " overtake others where it can",
        )
