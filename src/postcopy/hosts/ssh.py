"""A host behind SSH: one connection, made when it is first needed."""

import asyncio
import contextlib
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from postcopy.errors import UnavailableError
from postcopy.hosts.spec import SshSpec
from postcopy.processes import Completed

if TYPE_CHECKING:
    import asyncssh

__all__ = ["SshHost"]

CONNECT_SECONDS = 10.0
_MOST_BYTES = 16 << 20
"""How much of one command's output is kept: no host fills this machine's memory."""

# Whether root, or able to become it without a password: one round trip answers both, whatever the
# user's own shell is.
_WHO = (
    'test "$(id -u)" = 0 && echo root && exit; sudo -n true 2>/dev/null && echo sudo || echo user'
)


class SshHost:
    """A host that OpenSSH's user configuration says how to reach.

    ``~/.ssh/config``, the known hosts and the agent are the user's; a host whose key is not known
    is not spoken to. Commands run as root where that takes no password.
    """

    def __init__(self, spec: SshSpec) -> None:
        self._spec = spec
        self._lock = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._become: tuple[str, ...] = ()
        self._sockets: tempfile.TemporaryDirectory[str] | None = None
        self._forwarded = 0

    @property
    def name(self) -> str:
        return self._spec.name

    async def run(
        self, *argv: str, stdin: str | None = None, seconds: float | None = None
    ) -> Completed:
        connection = await self._connected()
        return await self._run(connection, shlex.join([*self._become, *argv]), stdin, seconds)

    async def socket(self, path: str) -> Path:
        """Forward a unix socket; what is behind it is connected to when this one is."""
        import asyncssh

        connection = await self._connected()
        if self._sockets is None:
            self._sockets = tempfile.TemporaryDirectory(prefix="postcopy-")
        here = Path(self._sockets.name) / f"{self._forwarded}"
        self._forwarded += 1
        try:
            await connection.forward_local_path(str(here), path)
        except (asyncssh.Error, OSError) as error:
            raise UnavailableError(
                f"the socket {path} of {self.name} cannot be forwarded: {error}",
                hint="does its sshd allow AllowStreamLocalForwarding?",
            ) from error
        return here

    async def close(self) -> None:
        if self._sockets is not None:
            self._sockets.cleanup()
            self._sockets = None
        if self._connection is not None:
            self._connection.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(2.0):
                    await self._connection.wait_closed()
            self._connection = None

    async def _connected(self) -> "asyncssh.SSHClientConnection":
        async with self._lock:
            if self._connection is None:
                connection = await self._connect()
                who = await self._run(
                    connection, shlex.join(["sh", "-c", _WHO]), None, CONNECT_SECONDS
                )
                self._become = ("sudo", "-n", "--") if "sudo" in who.stdout.split() else ()
                self._connection = connection
            return self._connection

    async def _connect(self) -> "asyncssh.SSHClientConnection":
        import asyncssh

        spec = self._spec
        said = {"username": spec.user, "port": spec.port, "client_keys": spec.key}
        options: dict[str, Any] = {
            "connect_timeout": CONNECT_SECONDS,
            "keepalive_interval": 5,
            **{name: value for name, value in said.items() if value is not None},
        }
        try:
            return await asyncssh.connect(self._spec.host, **options)
        except asyncssh.HostKeyNotVerifiable as error:
            raise self._unavailable(
                f"its host key is not trusted: {error.reason}",
                f"connect once with ssh and compare the key: ssh {self._spec.host}",
            ) from error
        except asyncssh.PermissionDenied as error:
            raise self._unavailable(
                f"it lets nobody in: {error.reason}",
                "can ssh itself get in without a password? see the keys in the agent (ssh-add -l)",
            ) from error
        except asyncssh.Error as error:
            raise self._unavailable(
                f"SSH says {error.reason}", f"look with: ssh -v {self._spec.host}"
            ) from error
        except (OSError, TimeoutError, ValueError) as error:
            reason = str(error) or f"no answer within {CONNECT_SECONDS:.0f} s"
            raise self._unavailable(
                reason, "is it up, is the name right, does a firewall stand between?"
            ) from error

    async def _run(
        self,
        connection: "asyncssh.SSHClientConnection",
        command: str,
        stdin: str | None,
        seconds: float | None,
    ) -> Completed:
        import asyncssh

        try:
            async with asyncio.timeout(seconds):
                process = await connection.create_process(command, encoding=None)
                try:
                    return await _communicate(process, stdin)
                finally:
                    process.close()
        except TimeoutError as error:
            raise self._unavailable(
                f"a command did not end within {seconds} s", "is it overloaded, or does it hang?"
            ) from error
        except (asyncssh.Error, OSError) as error:
            reason = getattr(error, "reason", "") or str(error)
            await self.close()
            raise self._unavailable(
                f"the connection was lost: {reason}", "run it again; is the network all right?"
            ) from error

    def _unavailable(self, reason: str, hint: str) -> UnavailableError:
        return UnavailableError(f"cannot use host {self.name}: {reason}", hint=hint)


async def _communicate(process: "asyncssh.SSHClientProcess[bytes]", stdin: str | None) -> Completed:
    async def write() -> None:
        # A command may end without reading what it was given.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if stdin is not None:
                process.stdin.write(stdin.encode())
                await process.stdin.drain()
            process.stdin.write_eof()

    async def read(stream: "asyncssh.SSHReader[bytes]") -> str:
        kept = bytearray()
        while block := await stream.read(65536):
            if len(kept) < _MOST_BYTES:
                kept += block
        return kept[:_MOST_BYTES].decode(errors="replace")

    _, out, err = await asyncio.gather(write(), read(process.stdout), read(process.stderr))
    await process.wait_closed()
    code = process.returncode
    return Completed(255 if code is None else code, out, err)
