"""A host whose files are below a temporary directory, and which can die at any call."""

import contextlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from postcopy.processes import Completed

__all__ = ["HostInHere", "KilledHere"]


class KilledHere(BaseException):
    """What a kill -9 looks like from inside: nothing else of this process runs."""


class HostInHere:
    """Runs the helper in this process, and hands commands to a function.

    :param command: told each other command; returns what it printed.
    :param die_at: the number of the call at which whoever calls is killed.
    :param after: whether that is after the call has taken effect.
    """

    def __init__(
        self,
        name: str = "alpha",
        command: Callable[[Sequence[str]], Completed] = lambda argv: Completed(0, "", ""),
        die_at: int | None = None,
        after: bool = False,
    ) -> None:
        self.name = name
        self.calls = 0
        self._command = command
        self._die_at = die_at
        self._after = after

    async def run(
        self, *argv: str, stdin: str | None = None, seconds: float | None = None
    ) -> Completed:
        self.calls += 1
        dies = self.calls - 1 == self._die_at
        if dies and not self._after:
            raise KilledHere
        done = self._helper(stdin or "") if argv[0] == "python3" else self._command(argv)
        if dies:
            raise KilledHere
        return done

    def _helper(self, program: str) -> Completed:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(program, "helper", "exec"), {"__name__": "helper"})
        return Completed(0, printed.getvalue(), "")

    async def socket(self, path: str) -> Path:
        return Path(path)

    async def close(self) -> None:
        pass
