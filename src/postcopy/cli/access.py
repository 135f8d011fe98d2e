"""Ways into the hosts of a migration, and the plainest move, which lets go of them at its end."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from postcopy.migration.driver import Driver

if TYPE_CHECKING:
    from postcopy.hosts import HostAccess
    from postcopy.libvirt.rescue import Ways

__all__ = ["Access", "PlainMove"]


class Access:
    """Ways into the hosts of both ends, opened when they are first needed.

    :param hosts: source and destination, as ``postcopy check`` takes hosts; None for no way.
    :param lab: the lab whose hosts bare names are.
    """

    def __init__(self, hosts: Sequence[str | None] = (None, None), lab: str | None = None) -> None:
        self._hosts = tuple(hosts)
        self._lab = lab
        self._open: list[HostAccess] = []

    def record(self) -> dict[str, Any]:
        """Return what makes the same again."""
        return {"hosts": list(self._hosts), "lab": self._lab}

    async def ways(self, recover_uri: str | None = None) -> "Ways":
        """Return what recovery needs of them.

        :param recover_uri: the destination on another network, where one is to be taken.
        """
        from postcopy.hosts import connect
        from postcopy.hosts.ways import ways_between

        def named(name: str) -> "HostAccess":
            from postcopy.lab.lab import Lab

            return Lab(self._lab or "default").host(name).access()

        source, destination = (connect(host, named) if host else None for host in self._hosts)
        self._open = [host for host in (source, destination) if host is not None]
        return await ways_between(source, destination, recover_uri)

    async def close(self) -> None:
        """Let go of both hosts."""
        for host in self._open:
            await host.close()


class PlainMove:
    """Between two ends that somebody else looks after: nothing is to be tidied up."""

    def __init__(
        self, driver: Driver, source: str, destination: str, access: Access | None = None
    ) -> None:
        self.driver = driver
        self.source = source
        self.destination = destination
        self._access = access or Access()

    def record(self) -> dict[str, Any]:
        """Return what `resume` needs."""
        names = {"names": [self.source, self.destination], "access": self._access.record()}
        return {**self.driver.record(), **names}

    async def settle(self) -> None:
        """Let go of both ends."""
        await self.driver.close()
        await self._access.close()
