"""Moving a lab guest: the destination's QEMU is made ready before, and the loser ended after."""

import contextlib
import functools
from collections.abc import Mapping
from typing import Any

from postcopy.errors import NotFoundError, RefusedError, UnavailableError, UsageError
from postcopy.hosts.haste import hasten
from postcopy.hosts.wire import HostWire
from postcopy.lab.guest import LabGuest
from postcopy.lab.lab import Lab
from postcopy.qemu.driver import QemuDriver
from postcopy.qemu.options import MigrationOptions
from postcopy.qemu.rescue import SPARE_PORTS, Hasten

__all__ = ["LabMove"]

# libvirt's default range for migrations; firewalls are opened for these.
_PORT = 49152


class LabMove:
    """One guest on its way from one lab host to the other. Make it with `prepare` or `resume`."""

    def __init__(self, guest: LabGuest, source: str, destination: str, driver: QemuDriver) -> None:
        self.guest = guest
        self.source = source
        self.destination = destination
        self.driver = driver

    @classmethod
    async def prepare(
        cls,
        lab: Lab,
        name: str,
        destination: str,
        *,
        postcopy: bool,
        preempt: bool = True,
        bandwidth: int | None = None,
        downtime_limit: float = 0.3,
        recover_uri: str | None = None,
    ) -> "LabMove":
        """Check that the guest can go there, and start the QEMU that it will arrive in.

        :raises NotFoundError: no such guest or host.
        :raises UsageError: it is there already.
        :raises RefusedError: it is on its way already.
        """
        guest, source = await check(lab, name, destination)
        target = await guest.start_side(destination, incoming=True)
        options = MigrationOptions(
            uri=f"tcp:{target.host.data_address}:{_PORT}",
            postcopy=postcopy,
            preempt=preempt,
            bandwidth=bandwidth,
            downtime_limit=downtime_limit,
            recover_uri=recover_uri,
        )
        ends = (guest.sides[source].endpoint, target.endpoint)
        wire, asks = _past_qemu(guest, source, destination)
        driver = QemuDriver(*ends, options, wire=wire, hasten=asks)
        return cls(guest, source, destination, driver)

    @classmethod
    async def found(cls, lab: Lab, name: str, recover_uri: str | None = None) -> "LabMove":
        """Return the move that a guest is found in, whoever began it.

        :raises NotFoundError: when it is in none.
        """
        guest = LabGuest.load(lab, name)
        source, destination = await guest.ends()
        sides = guest.sides[source], guest.sides[destination]
        uri = f"tcp:{sides[1].host.data_address}:{_PORT}"
        options = MigrationOptions(uri=uri, recover_uri=recover_uri)
        wire, asks = _past_qemu(guest, source, destination)
        driver = QemuDriver(sides[0].endpoint, sides[1].endpoint, options, wire=wire, hasten=asks)
        return cls(guest, source, destination, driver)

    @classmethod
    def resume(cls, record: Mapping[str, Any], guest: str) -> "LabMove":
        """Return the move that an earlier process recorded."""
        one = LabGuest.load(Lab(record["lab"]), guest)
        source, destination = record["source"]["name"], record["destination"]["name"]
        wire, asks = _past_qemu(one, source, destination)
        driver = QemuDriver.of_record(record, wire=wire, hasten=asks)
        return cls(one, source, destination, driver)

    def record(self) -> dict[str, Any]:
        """Return what `resume` needs."""
        return {**self.driver.record(), "lab": self.guest.lab.name}

    async def settle(self) -> None:
        """Let go of the monitors and end the QEMU that is no longer needed, if that is sure."""
        await self.driver.close()
        # A QEMU that hangs says nothing: then nothing is sure.
        with contextlib.suppress(UnavailableError):
            await self.guest.tidy()


def _past_qemu(guest: LabGuest, source: str, destination: str) -> tuple[HostWire, Hasten]:
    """Return what is done past QEMU: the way looked at, and the destination's requests hastened."""
    near, far = guest.sides[source].host, guest.sides[destination].host
    ports = _PORT, _PORT + SPARE_PORTS
    wire = HostWire(near.access(), far.data_address, ports)
    return wire, functools.partial(hasten, far.access(), ports)


async def check(lab: Lab, name: str, destination: str) -> tuple[LabGuest, str]:
    """Return the guest and the host it runs on, if it can be moved to `destination`.

    What an earlier attempt left behind is ended first.
    """
    guest = LabGuest.load(lab, name)
    if destination not in guest.sides:
        raise NotFoundError(
            f"lab {lab.name!r} has no host {destination!r}",
            hint=f"it has: {', '.join(guest.sides)}",
        )
    states = await guest.look()
    if any(state.migrating for state in states.values()):
        raise RefusedError(
            f"guest {name!r} is already being migrated", hint=f"follow it: postcopy attach {name}"
        )
    source = await guest.where()
    if source == destination:
        raise UsageError(
            f"guest {name!r} already runs on {destination}",
            hint=f"name another host: {', '.join(n for n in guest.sides if n != destination)}",
        )
    await guest.tidy()
    return guest, source
