"""Connects the two QEMUs of an interrupted post-copy past libvirt, which then sees them go on.

The commands are those of qapi/migration.json: ``migrate-recover`` at the destination, out of band,
then ``migrate`` with ``resume`` at the source.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

from postcopy.errors import RetryableError
from postcopy.libvirt.ends import Ends
from postcopy.libvirt.halves import idle, name_there
from postcopy.libvirt.options import LibvirtOptions
from postcopy.libvirt.passing import borrowed, pass_on
from postcopy.libvirt.ways import Way
from postcopy.qemu.monitor import CommandError
from postcopy.qemu.rescue import QemuHalf

__all__ = ["PastLibvirt"]

# libvirt's default range for migrations; firewalls are opened for these. It takes the first that is
# free, and so the last are likely to be.
_PORTS = range(49215, 49151, -1)
_ANSWER_SECONDS = 3.0

Command = Callable[..., Awaitable[None]]


class PastLibvirt:
    """One domain's way past libvirt.

    :param address: of the destination, as the memory goes there; asked of libvirt if None.
    """

    def __init__(self, ends: Ends, uuid: str, options: LibvirtOptions, address: str | None) -> None:
        self._ends = ends
        self._uuid = uuid
        self._options = options
        self._address = address

    async def listen(self, command: Command) -> str:
        """Have the destination wait for the source again.

        :param command: runs a command at the destination's QEMU, out of band.
        :returns: where, ``tcp:HOST:PORT``.
        :raises RetryableError: when it is not paused yet.
        """
        host, port = await self._where()
        refused: CommandError | None = None
        for number in (port,) if port is not None else _PORTS:
            uri = f"tcp:{f'[{host}]' if ':' in host else host}:{number}"
            try:
                await command("migrate-recover", uri=uri)
            except CommandError as error:
                refused = error
                if "in use" in error.message:
                    continue
                break
            return uri
        assert refused is not None
        raise _too_early(refused) from refused

    @contextlib.asynccontextmanager
    async def borrowing(self, way: Way) -> AsyncIterator[Command]:
        """Run commands at the destination's QEMU over libvirt's own monitor, out of band.

        Its daemon is restarted for that.

        :raises RetryableError: when the daemon must not be restarted now.
        """
        name = await name_there(self._ends.destination, self._uuid)
        # Started again, the daemon gives a guest up whose QEMU does not answer.
        if not await way.awake(name):
            raise RetryableError(f"the QEMU of {name!r} at the destination is not seen to be awake")
        await idle(self._ends.destination, self._uuid, way)
        async with borrowed(way, name, self._ends.destination.uri) as monitor:

            async def command(name: str, **arguments: object) -> None:
                await monitor.execute(name, arguments, oob=True, seconds=_ANSWER_SECONDS)

            yield command

    async def send_to(self, uri: str, qemu: QemuHalf | None) -> None:
        """Have the source connect there.

        :param qemu: its second monitor; without one, its libvirt passes the command on.
        :raises RetryableError: when it is not paused yet.
        """
        try:
            if qemu is not None:
                await qemu.command_in_band("migrate", uri=uri, resume=True)
            else:
                arguments = {"uri": uri, "resume": True}
                await pass_on(self._ends.source.uri, self._uuid, "migrate", arguments)
        except CommandError as error:
            raise _too_early(error) from error

    async def _where(self) -> tuple[str, int | None]:
        """Return the destination's address, and the port if it was said."""
        for uri in (self._options.recover_uri, self._options.migrateuri):
            parts = urlsplit(uri or "")
            if parts.hostname:
                # A port that was said for the migration itself may still be taken.
                return parts.hostname, parts.port if uri == self._options.recover_uri else None
        return self._address or await self._ends.destination.host_name(), None


def _too_early(refused: CommandError) -> RetryableError:
    return RetryableError(refused.message, hint="a side may lag behind: try again")
