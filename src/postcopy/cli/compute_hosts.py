"""The compute hosts of a cloud: their libvirts, and ways into them, by the names Nova has."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from postcopy.cli.access import Access
from postcopy.cli.request import Request
from postcopy.nova.beneath import Places

if TYPE_CHECKING:
    from postcopy.libvirt.rescue import Ways

__all__ = ["ComputeHosts"]


class ComputeHosts:
    """Ways into the hosts of one migration, whose names may be known only when it has begun.

    :param hosts: source and destination, as ``postcopy check`` takes hosts, with ``{host}`` for
        Nova's name of either; None is what the URI of its libvirt says.
    :param lab: the lab whose hosts bare names are.
    :param libvirt_uri: of both libvirts, with ``{host}``; None where none is asked.
    """

    def __init__(
        self,
        hosts: tuple[str | None, str | None] = (None, None),
        lab: str | None = None,
        libvirt_uri: str | None = None,
    ) -> None:
        self._hosts = hosts
        self._lab = lab
        self._uri = libvirt_uri
        self._access = Access()

    @classmethod
    def of_request(cls, request: Request) -> "ComputeHosts":
        """Return those that a request is about."""
        return cls(request.hosts, request.lab, request.libvirt_uri)

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "ComputeHosts":
        """Read what `record` wrote into a run's."""
        source, destination = record.get("hosts", (None, None))
        return cls((source, destination), record.get("lab_of_hosts"), record.get("libvirt_uri"))

    def record(self) -> dict[str, Any]:
        """Return what makes the same again."""
        return {"hosts": list(self._hosts), "lab_of_hosts": self._lab}

    def places(self, request: Request) -> Places:
        """Return where libvirts are, as a request says."""
        return Places(
            libvirt_uri=request.libvirt_uri,
            peer_uri=request.peer_uri,
            recover_uri=request.recover_uri,
            ways=self.ways,
        )

    async def ways(self, source: str, destination: str) -> "Ways":
        """Return ways into two hosts, by Nova's names."""
        names = (source, destination)
        hosts = [self._host(given, name) for given, name in zip(self._hosts, names, strict=True)]
        await self.close()
        self._access = Access(hosts, self._lab)
        return await self._access.ways()

    async def close(self) -> None:
        """Let go of them."""
        await self._access.close()

    def _host(self, given: str | None, name: str) -> str | None:
        from postcopy.hosts.ways import host_of_uri

        if given is not None:
            return given.replace("{host}", name)
        if self._uri is None or "{host}" not in self._uri:
            return None
        return host_of_uri(self._uri.replace("{host}", name))
