"""What a host says when its QEMU's connections are set from outside."""

import pytest

from postcopy.errors import UnavailableError
from postcopy.hosts.haste import hasten
from postcopy.processes import Completed
from postcopy.testing import FakeHost

PORTS = (49152, 49215)


class Host(FakeHost):
    """A host whose Python prints what it is told to."""

    def __init__(self, out: str, err: str = "") -> None:
        super().__init__("beta")
        self._done = Completed(0 if out else 1, out, err)

    async def run(
        self, *argv: str, stdin: str | None = None, seconds: float | None = None
    ) -> Completed:
        self.commands.append(argv)
        return self._done


async def test_connections_are_found_by_the_ports_that_migrations_come_in_at() -> None:
    host = Host('[2, ""]\n')
    assert await hasten(host, PORTS) == 2
    [command] = host.commands
    assert command[-2:] == ("49152", "49215")


@pytest.mark.parametrize(
    ("out", "err", "said"),
    [
        ('[0, "Operation not permitted"]\n', "", "Operation not permitted"),
        ("", "Traceback\nFileNotFoundError: 'ss'\n", "FileNotFoundError: 'ss'"),
        ("", "", "no answer"),
        ("7\n", "", "no answer"),
    ],
)
async def test_a_host_that_does_not_let_it_be_done_is_named(out: str, err: str, said: str) -> None:
    with pytest.raises(UnavailableError, match="beta") as caught:
        await hasten(Host(out, err), PORTS)
    assert caught.value.message.endswith(said)
    assert "root" in str(caught.value.hint)
