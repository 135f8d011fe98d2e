"""A host's files and services, reached through the one seam, `HostAccess`."""

import base64
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from postcopy.errors import RefusedError, UnavailableError
from postcopy.hosts import HostAccess
from postcopy.setup import helper

__all__ = ["Held", "HostFiles"]

_PYTHON = ("python3", "-I", "-S", "-")
_SECONDS = 150.0
"""A restart may take as long as systemd lets it; all else is done in milliseconds."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is at a path on a host.

    :ivar data: what it holds, None where there is no file.
    :ivar sha256: its digest, None where there is no file.
    :ivar parents: directories that are missing above it, the topmost first.
    """

    path: str
    data: bytes | None
    sha256: str | None
    mode: int = 0
    uid: int = 0
    gid: int = 0
    parents: tuple[str, ...] = ()

    @property
    def there(self) -> bool:
        """Whether there is a file."""
        return self.sha256 is not None

    def text(self) -> str | None:
        """Return what it holds, or None where there is no file.

        :raises RefusedError: when that is no text: an edit would not be exact.
        """
        if self.data is None:
            return None
        try:
            return self.data.decode()
        except UnicodeDecodeError as error:
            raise RefusedError(
                f"{self.path} holds bytes that are no UTF-8, and is not edited",
                hint=f"mend byte {error.start} of it, or change it by hand",
            ) from None


class HostFiles:
    """Files and services of one host. Nothing is overwritten that is not as it is expected."""

    def __init__(self, host: HostAccess) -> None:
        self._host = host

    async def identify(self) -> dict[str, Any]:
        """Return what tells this host apart: its node name, machine id, and who we are there."""
        return await self._ask("identify")

    async def look(self, paths: Sequence[str], content: bool = True) -> dict[str, Held]:
        """Return what is at each path."""
        if not paths:
            return {}
        told = await self._ask("look", paths=list(paths), content=content)
        try:
            return {path: _held(path, told["files"][path]) for path in paths}
        except (KeyError, TypeError, ValueError) as error:
            raise UnavailableError(
                f"host {self._host.name} gave an answer about its files that makes no sense",
                hint="something else than this program has answered",
            ) from error

    async def write(
        self,
        path: str,
        data: bytes,
        *,
        expected: str | None,
        mode: int,
        owner: str | int,
        group: str | int,
        parents: Sequence[str] = (),
        keep: str = "",
    ) -> bool:
        """Write a file, whole; return False if it holds something else than expected.

        :param expected: the digest of what it holds; None if it is not there.
        :param parents: directories to make first.
        :param keep: where to keep what it held; nowhere without it.
        """
        content = base64.b64encode(data).decode()
        told = await self._ask(
            "write", path=path, content=content, expected=expected, mode=mode, owner=owner,
            group=group, parents=list(parents), keep=keep,
        )  # fmt: skip
        return not told.get("changed")

    async def remove(
        self, path: str, *, expected: str | None, parents: Sequence[str] = (), keep: str = ""
    ) -> bool:
        """Remove a file, and directories if they are empty then; False if it holds another thing.

        One that is not there is removed already.
        """
        told = await self._ask(
            "remove", path=path, expected=expected, parents=list(parents), keep=keep
        )
        return not told.get("changed")

    async def put_back(self, path: str, keep: str, *, expected: str | None, before: str) -> bool:
        """Give back what was kept; False if the file holds another thing than expected."""
        told = await self._ask("put_back", path=path, keep=keep, expected=expected, before=before)
        return not told.get("changed")

    async def tidy(self, path: str) -> None:
        """Remove what a write of it that was killed may have left."""
        await self._ask("tidy", path=path)

    async def restart(self, service: str) -> None:
        """Restart a service."""
        await self._ask("restart", service=service)

    async def _ask(self, action: str, **more: Any) -> dict[str, Any]:
        request = json.dumps({"action": action, **more})
        program = f"{inspect.getsource(helper)}\nmain(json.loads({request!r}))\n"
        done = await self._host.run(*_PYTHON, stdin=program, seconds=_SECONDS)
        told = _parse(self._host.name, done.stdout, done.stderr)
        if "error" in told:
            where = f" {told['path']}" if told.get("path") else ""
            raise UnavailableError(
                f"host {self._host.name}:{where} {told['error']}",
                hint="look at it there, as root; most of this needs root, or `sudo -n`",
            )
        return told


def _parse(host: str, out: str, err: str) -> dict[str, Any]:
    _, begin, rest = out.partition(helper.BEGIN + "\n")
    text, end, _ = rest.rpartition("\n" + helper.END)
    try:
        told = json.loads(text) if begin and end else None
    except ValueError:
        told = None
    if not isinstance(told, dict):
        said = "".join(f": {line[:200]}" for line in err.strip().splitlines()[-1:])
        raise UnavailableError(
            f"host {host} did not say what came of it{said}",
            hint="was the connection lost? run it again: it looks before it goes on",
        )
    return told


def _held(path: str, raw: dict[str, Any]) -> Held:
    if not raw["there"]:
        return Held(path, None, None, parents=tuple(raw["parents"]))
    data = base64.b64decode(raw["content"]) if "content" in raw else None
    return Held(path, data, raw["sha256"], raw["mode"], raw["uid"], raw["gid"])
