"""Moving a lab's domain from one of its hosts to the other, through libvirt."""

from typing import Any

from postcopy.hosts import HostAccess
from postcopy.hosts.ways import ways_between
from postcopy.lab import libvirtd
from postcopy.lab.domain import LabDomain
from postcopy.libvirt.driver import LibvirtDriver
from postcopy.libvirt.options import LibvirtOptions

__all__ = ["DomainMove"]


class DomainMove:
    """One domain on its way. Make it with `prepare`."""

    def __init__(
        self,
        domain: LabDomain,
        source: str,
        destination: str,
        driver: LibvirtDriver,
        accesses: tuple[HostAccess, HostAccess],
    ) -> None:
        self.domain = domain
        self.source = source
        self.destination = destination
        self.driver = driver
        self._accesses = accesses

    @classmethod
    async def prepare(
        cls, domain: LabDomain, destination: str, options: LibvirtOptions
    ) -> "DomainMove":
        """Look where the domain runs, and make ready to move it.

        :raises UnavailableError: when it runs nowhere.
        """
        source = await domain.where()
        hosts = domain.hosts[source], domain.hosts[destination]
        accesses = hosts[0].access(), hosts[1].access()
        driver = LibvirtDriver(
            domain.spec.name,
            libvirtd.uris(hosts[0])["unix"],
            libvirtd.uris(hosts[1])["tcp"],
            options,
            peer_uri=libvirtd.uris(hosts[1])["peer"],
            ways=await ways_between(*accesses),
        )
        return cls(domain, source, destination, driver, accesses)

    def record(self) -> dict[str, Any]:
        """Return what ``postcopy attach`` needs."""
        access = {"hosts": [self.source, self.destination], "lab": self.domain.lab.name}
        return {
            **self.driver.record(),
            "names": [self.source, self.destination],
            "access": access,
        }

    async def settle(self) -> None:
        """Let go of both hosts."""
        await self.driver.close()
        for access in self._accesses:
            await access.close()
