"""What users call hosts, read into what is needed to reach them."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from postcopy.errors import UsageError

__all__ = ["HostSpec", "LocalSpec", "NamedSpec", "SshSpec", "parse"]

_HINT = "write local, the name of a lab host (alpha), or ssh://user@host:port"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\$?", re.ASCII)
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class LocalSpec:
    """This machine."""

    name: str = LOCAL


@dataclass(frozen=True, slots=True)
class NamedSpec:
    """A name that whoever knows such names makes a host of: a lab's ``alpha``."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSpec:
    """A host behind SSH. What is None is up to the user's ssh configuration.

    :ivar name: what the user calls it.
    :ivar host: a host name, an address, or an alias of ``~/.ssh/config``.
    :ivar key: a file with the private key.
    """

    name: str
    host: str
    user: str | None = None
    port: int | None = None
    key: str | None = None


HostSpec = LocalSpec | NamedSpec | SshSpec


def parse(text: str) -> HostSpec:
    """Read one host as a user writes it.

    :raises UsageError: when it is none.
    """
    if text == LOCAL:
        return LocalSpec()
    if "://" in text:
        return _ssh(text)
    if "@" in text:
        raise UsageError(f"{text!r} is not a host", hint=f"for SSH, write ssh://{text}")
    if _NAME.fullmatch(text):
        return NamedSpec(text)
    raise UsageError(f"{text!r} is not a host", hint=_HINT)


def _ssh(text: str) -> SshSpec:
    try:
        parts = urlsplit(text)
        host, user, port = parts.hostname or "", parts.username, parts.port
    except ValueError as error:
        raise UsageError(f"{text!r} is not a host: {error}", hint=_HINT) from error
    if parts.scheme != "ssh":
        raise UsageError(f"{text!r}: hosts are reached by ssh, not {parts.scheme}", hint=_HINT)
    if parts.password is not None:
        raise UsageError(
            f"ssh://{user}@{host}: a password does not belong on a command line",
            hint="use a key or an agent, as ssh itself does",
        )
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UsageError(f"{text!r} has more than a user, a host and a port", hint=_HINT)
    return ssh_spec(text.rstrip("/"), host, user, port)


def ssh_spec(
    name: str,
    host: str,
    user: str | None = None,
    port: int | None = None,
    key: str | None = None,
) -> SshSpec:
    """Return a host behind SSH, of parts that come from outside.

    :raises UsageError: when a part could not be what it is meant to be.
    """
    # An IPv6 address has colons and no other odd letter; urlsplit has taken its brackets away.
    if not (_NAME.fullmatch(host) or re.fullmatch(r"[0-9A-Fa-f:.%a-z]{2,64}", host, re.ASCII)):
        raise UsageError(f"{name!r}: {host!r} is not a host name or an address", hint=_HINT)
    if user is not None and not _USER.fullmatch(user):
        raise UsageError(f"{name!r}: {user!r} is not a user's name", hint=_HINT)
    if port is not None and not 0 < port < 65536:
        raise UsageError(f"{name!r}: {port} is not a port", hint="a port is from 1 to 65535")
    return SshSpec(name=name, host=host, user=user, port=port, key=key)
