"""What a compute host's own configuration makes of Nova's ``force_complete``."""

from postcopy.errors import PostcopyError
from postcopy.hosts import HostAccess, connect, probe
from postcopy.nova.facts import NovaFacts
from postcopy.nova.permission import Effect, Permission
from postcopy.readiness import Evidence

__all__ = ["permission_of"]

_SECONDS = 20.0


async def permission_of(host: str | HostAccess, name: str) -> Permission:
    """Look at the host that a guest is to leave.

    :param host: how it is reached, as for ``postcopy check``.
    :param name: what Nova calls it.
    :returns: that it is not known, and why, where the host does not answer.
    :raises UsageError: when `host` is no host.
    """
    access = connect(host) if isinstance(host, str) else host
    request = {"seconds": _SECONDS, "nova": {"proofs": [], "guest": None}}
    try:
        answer = await probe(access, request)
        evidence = Evidence(answer["sections"].get("nova"))
        if error := evidence.value("error"):
            return Permission(Effect.EITHER, f"{name} could not be looked at: {error}")
        return Permission.of_facts(name, NovaFacts.of(evidence))
    except PostcopyError as error:
        return Permission(Effect.EITHER, f"{name} could not be looked at: {error.message}")
    finally:
        await access.close()
