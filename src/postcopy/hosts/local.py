"""This machine, and hosts that are namespaces on it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from postcopy import processes

__all__ = ["LocalHost"]


class LocalHost:
    """A host that a command on this machine runs in.

    :param prefix: what is put before each command, as ``nsenter`` for a host of the lab.
    :param root: where its files are on this machine.
    :param environment: the whole environment of its commands; this process's own if None.
    """

    def __init__(
        self,
        name: str = "local",
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        root: Path = Path("/"),
    ) -> None:
        self._root = root
        self._name = name
        self._prefix = tuple(prefix)
        self._environment = environment

    @property
    def name(self) -> str:
        return self._name

    async def run(
        self, *argv: str, stdin: str | None = None, seconds: float | None = None
    ) -> processes.Completed:
        return await processes.run(
            *self._prefix,
            *argv,
            stdin=stdin,
            timeout=seconds,
            env=self._environment,
            check=False,
        )

    async def socket(self, path: str) -> Path:
        return self._root / path.lstrip("/")

    async def close(self) -> None:
        pass
