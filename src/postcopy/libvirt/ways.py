"""Ways into the hosts of a migration, past libvirt: what recovery does where libvirt cannot.

`Way` is what is asked of one host; `postcopy.hosts.ways` makes some of SSH, of namespaces, or of
this machine.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from postcopy.migration.recovery import Wire

__all__ = ["Way", "Ways"]


class Way(Protocol):
    """A way into one host. Domains are given by name."""

    async def socket(self, path: str) -> Path:
        """Return where on this machine a unix socket of the host can be reached."""
        ...

    async def hasten(self) -> int:
        """Have QEMUs here ask for missing pages at once; return over how many connections.

        :raises UnavailableError: when that cannot be done.
        """
        ...

    async def able_to_cut(self) -> bool:
        """Return whether the host's kernel closes the connections of others when it is asked to.

        Tried out on a connection that is made for it.
        """
        ...

    async def cut(self, domain: str) -> int:
        """Have the kernel close the connections that carry a domain; return how many there were.

        :raises UnavailableError: when they are still there afterwards.
        """
        ...

    async def hang_up(self) -> bool:
        """Close the only connection that the host's libvirt has made to another one.

        Of several, nobody here knows whose they are.

        :returns: whether there was just one.
        """
        ...

    async def awake(self, domain: str) -> bool | None:
        """Return whether the main loop of a domain's QEMU turns, seen from outside; None if unseen.

        One that hangs waits for a lock which a vCPU holds that waits for a missing page: it hears
        nothing over any session that is opened now.
        """
        ...

    async def own_monitor(self, domain: str) -> str:
        """Return the path, on the host, of the monitor that libvirt itself uses.

        :raises UnavailableError: when libvirt's own record does not say.
        """
        ...

    async def restart_libvirt(self) -> None:
        """Restart the daemon that runs QEMUs; they go on meanwhile.

        :raises UnavailableError: when it does not come back.
        """
        ...


@dataclass(frozen=True, slots=True)
class Ways:
    """Ways into both hosts, as far as there are some.

    :param wire: the way between them, looked at from the source.
    :param address: of the destination, as the memory goes there; asked of libvirt if None.
    """

    source: Way | None = None
    destination: Way | None = None
    wire: Wire | None = None
    address: str | None = None
