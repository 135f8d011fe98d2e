"""From what users call a host to a way into it."""

from collections.abc import Callable

from postcopy.errors import NotFoundError
from postcopy.hosts.access import HostAccess
from postcopy.hosts.local import LocalHost
from postcopy.hosts.spec import HostSpec, LocalSpec, NamedSpec, parse
from postcopy.hosts.ssh import SshHost

__all__ = ["connect"]


def _nobody(name: str) -> HostAccess:
    raise NotFoundError(
        f"there is no host {name!r} here", hint=f"is it reached by SSH? then write ssh://{name}"
    )


def connect(host: str | HostSpec, named: Callable[[str], HostAccess] = _nobody) -> HostAccess:
    """Return a way into a host. Nothing is sent to it before its first command.

    :param host: as users write it, or read already.
    :param named: makes a host of a bare name, such as that of a lab's host; raises
        `NotFoundError` for one that it does not know.
    :raises UsageError: when it is no host.
    """
    spec = parse(host) if isinstance(host, str) else host
    if isinstance(spec, LocalSpec):
        return LocalHost(spec.name)
    if isinstance(spec, NamedSpec):
        return named(spec.name)
    return SshHost(spec)
